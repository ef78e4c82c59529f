"""From examples to models that are measured, held to gates and described by a card and a report."""
