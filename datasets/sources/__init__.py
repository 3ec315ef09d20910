"""Archives: which fields they hold, where each lies, and how its numbers become corrstore's."""
