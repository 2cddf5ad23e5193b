"""Find one person's keypoints with a file of `mspn export`, without PyTorch.

python examples/onnx_demo.py MODEL.onnx IMAGE OUT.jpg [LEFT TOP WIDTH HEIGHT]
"""

import json
import sys

import cv2
import numpy as np
import onnxruntime

model, source, target, *box = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
meta = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
image = cv2.imread(source)
assert image is not None, f'{source} cannot be read'

# The crop: the box, enlarged, and widened or heightened to the shape of the input.
left, top, width, height = map(float, box or (0, 0, image.shape[1], image.shape[0]))
w, h = meta['input_size']
wider, higher = meta['padding']
side = max(wider * width / w, higher * height / h)  # image pixels for each input pixel
corner = np.array([left + width / 2, top + height / 2]) - 0.5 * side * np.array([w, h])
back = np.array([[side, 0, corner[0]], [0, side, corner[1]]])
crop = cv2.warpAffine(image, back, (w, h), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)

keypoints, scores = session.run(None, {'image': crop[None]})
points = keypoints[0] * side + corner
for name, (x, y), score in zip(meta['keypoints'], points, scores[0]):
    print(f'{name:15s} {x:8.1f} {y:8.1f} {score:6.2f}')

seen = scores[0] > 0.6
for a, b in meta['skeleton']:
    if seen[a] and seen[b]:
        ends = [tuple(np.round(points[i]).astype(int).tolist()) for i in (a, b)]
        cv2.line(image, *ends, (0, 200, 0), 2, cv2.LINE_AA)
cv2.imwrite(target, image)
