"""Stores and runs behind the interfaces of NVIDIA's software: physicsnemo's datasets, earth2studio's models.

It knows those interfaces. It never imports that software. Start reading at `physicsnemo.py`, then
`earth2studio.py`.
"""
