"""MMPose models measured side by side."""
