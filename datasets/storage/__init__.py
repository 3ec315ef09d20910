"""Places to read and write: a folder on a file system or in a bucket, and the cache of this machine.

It knows bytes, paths and how an object is written whole or not at all. It never knows what the bytes mean. Start
reading at `folder.py`.
"""
