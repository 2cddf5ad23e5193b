"""Rendered people in COCO's layout."""
