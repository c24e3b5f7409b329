"""An examination of the small model that shares no word, picture or judge with its lessons."""
