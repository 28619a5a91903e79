"""Templates of the engine: names and tags, uploaded files, builds, and the cache of layers they fill."""
