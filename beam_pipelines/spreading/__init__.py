"""The spreading of one function over samples by Beam: options, worker processes, progress, failures and signals.

It never knows what the function does. Start reading at `spread.py`.
"""
