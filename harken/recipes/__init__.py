"""Recipes: one TOML file says what is heard, what decides, and how it is trained."""
