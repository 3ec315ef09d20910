"""The networks: the U-Net, its layers, and the regression that it makes.

It knows tensors alone. It never knows a store or a run. Start reading at `network.py`.
"""
