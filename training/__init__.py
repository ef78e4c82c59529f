"""From data to model sets: trains, converts and checks the models that the functions serve. Never in a Lambda."""
