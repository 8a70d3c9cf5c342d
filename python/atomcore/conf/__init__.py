"""Configuration of ``atomcore train``: one folder a config group."""
