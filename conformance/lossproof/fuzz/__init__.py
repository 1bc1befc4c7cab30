"""Looking for wrong answers at random: cases are drawn, asked, judged by the live oracle, and shrunk."""
