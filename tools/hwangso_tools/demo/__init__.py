"""The main job, `hwangso demo`: a server and 1,000 phones; cut them all, and count what is left."""
