"""From images and boxes to poses."""
