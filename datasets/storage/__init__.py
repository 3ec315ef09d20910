"""Places to read and write, and the texts in them: folders, buckets, the cache of this machine, YAML that a user wrote.

It knows bytes, paths, YAML and how an object is written whole or not at all. It never knows what a key or an object
means. Start reading at `folder.py`; a user's YAML is read by `yaml_text.py` and checked by `validation.py`.
"""
