"""The contents of an archive, without a recipe: its files, every distinct field, and how near each is to a variable.

It knows what files say of themselves. It never knows what a recipe wants. Start reading at `contents.py`; a refusal
takes its sentences from `near.py`, and `corrstore archive` prints by `printing.py`.
"""
