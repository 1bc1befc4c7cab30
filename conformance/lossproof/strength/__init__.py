"""How strong the spec is: wrong losses with one bug each, and which goldens catch which."""
