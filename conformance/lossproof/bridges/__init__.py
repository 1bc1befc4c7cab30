"""One file a framework: how its arrays come in, go out and are differentiated."""
