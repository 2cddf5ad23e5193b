"""Public data sets of poses, converted to COCO's layout and format."""
