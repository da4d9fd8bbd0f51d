"""How right the machine was: detections, masks, links and identities against a person or the truth."""
