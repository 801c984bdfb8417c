"""How far a change of 4/255 moves the restoration of a shipped face."""

import facefort
from facefort.attacks import attack
from facefort.metrics import metric
from facefort.models import zoo
from facefort.models.sources import faces

restorer = facefort.load(zoo.DEFAULT)
batch = next(iter(faces("samples", restorer.size, limit=2).batches(2)))
(adversarial,) = attack(restorer, batch.faces, budgets="4/255", steps=5, names=batch.names)
clean, moved = restorer.restore(batch.faces), restorer.restore(adversarial.pictures)
print("self-consistency PSNR:", metric("psnr-rgb")(moved, clean).tolist())
