"""Weights: safetensors only, known by their sha256. Nothing else is ever loaded."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from spinenet.io.atomic import published
from spinenet.io.digest import sha256_of
from spinenet.types import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spinenet.models.siamese import SiameseMatcher
    from spinenet.models.unet3d import SpineUNet

Role = Literal["segment", "match"]
logger = logging.getLogger(__name__)
FITTED = "fitted"
"""In the file: whether its thresholds and its probability are fitted."""
CONTENT = "content_sha256"
"""In the file: of its tensors, so that a file of a user's own is known to be whole."""
THRESHOLDS = ("shaft", "spine", "centre")
FORMATS: dict[Role, str] = {"segment": "spinenet-segment-2", "match": "spinenet-match-1"}


@dataclass(frozen=True)
class SegmentWeights:
    """A net ready for inference, the thresholds fitted with it, and where it came from."""

    net: SpineUNet
    thresholds: dict[str, float]
    name: str
    sha256: str


@dataclass(frozen=True)
class MatchWeights:
    """A matching head ready for use, the temperature fitted with it, and where it came from."""

    net: SiameseMatcher
    temperature: float
    name: str
    sha256: str


def shipped_folder(kind: str) -> Path:
    """`weights` or `configs`: inside the package in a wheel, at the top level in a checkout."""
    inside = Path(str(files("spinenet"))) / kind
    return inside if inside.is_dir() else Path(str(files("spinenet"))).parent / kind


def find_weights(name: str, role: Role) -> tuple[Path, str]:
    """The file and the sha256 it must have ('' for a file of the user's own)."""
    folder = shipped_folder("weights")
    manifest = json.loads((folder / "manifest.json").read_text())
    for entry in manifest["weights"]:
        if entry["role"] == role and (
            entry["name"] == name or (name == "default" and entry["default"])
        ):
            return folder / entry["file"], entry["sha256"]
    path = Path(name)
    if path.is_file():
        return path, ""
    known = ", ".join(e["name"] for e in manifest["weights"] if e["role"] == role)
    known += ", or `places` for none" if role == "match" else ""
    raise InputError(
        f"weights {name!r} were not found: neither a file nor one of the shipped ones ({known}). "
        "Check the spelling, or give the path of a .safetensors file."
    )


def load_segment_weights(name: str) -> SegmentWeights:
    """Load, check and fold a segmentation net.

    Raises
    ------
    InputError
        If the file is missing, not safetensors, altered, or of another net.
    """
    from spinenet.models.unet3d import folded

    path, digest = _checked(name, "segment")
    net, thresholds = _segment_net(path)
    return SegmentWeights(folded(net), thresholds, path.stem, digest)


def load_trainable_net(name: str) -> SpineUNet:
    """A net to go on training from; raises as `load_segment_weights`."""
    return _segment_net(_checked(name, "segment")[0])[0]


def load_match_weights(name: str) -> MatchWeights:
    """Load and check a matching head; raises as `load_segment_weights`."""
    from spinenet.models.siamese import SiameseMatcher

    path, digest = _checked(name, "match")
    state, meta = _read(path, "match")
    net = _filled(SiameseMatcher(), state, path)
    temperature = _said(meta, "temperature", path)
    if not (_is_number(temperature) and 0 < temperature < float("inf")):
        raise InputError(f"weights {path.name} have a temperature {temperature}: {_OTHER_PROGRAM}")
    return MatchWeights(net.eval(), temperature, path.stem, digest)


def _checked(name: str, role: Role) -> tuple[Path, str]:
    path, expected = find_weights(name, role)
    if path.suffix != ".safetensors":
        raise InputError(
            f"weights {path.name} are not a .safetensors file. Other formats (.pt, .pth, .ckpt) "
            "can run code when they are opened and are refused; save the weights with `train.py`."
        )
    digest = sha256_of(path)
    if expected and digest != expected:
        raise InputError(
            f"weights {path.name} have sha256 {digest[:12]}..., manifest.json says "
            f"{expected[:12]}...: the file was altered or cut short. Fetch it again."
        )
    return path, digest


def _segment_net(path: Path) -> tuple[SpineUNet, dict[str, float]]:
    from spinenet.models.unet3d import SpineUNet

    state, meta = _read(path, "segment")
    channels = _said(meta, "channels", path)
    try:
        net = SpineUNet(tuple(channels))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"weights {path.name} name channels {channels} ({error}): {_OTHER_PROGRAM}"
        ) from error
    thresholds: dict[str, float] = _said(meta, "thresholds", path)
    told = thresholds if isinstance(thresholds, dict) else {}
    wrong = [t for t in THRESHOLDS if not (_is_number(told.get(t)) and 0 <= told[t] <= 1)]
    if wrong:
        raise InputError(
            f"weights {path.name} have no threshold of {wrong[0]} from 0 to 1: {_OTHER_PROGRAM}"
        )
    counters = {k: v for k, v in net.state_dict().items() if k.endswith("num_batches_tracked")}
    return _filled(net, state | counters, path), thresholds


def _read(path: Path, role: Role) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            meta = file.metadata() or {}
            # an open file is no mapping: its names come from keys() alone
            state = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(
            f"weights {path.name} cannot be read ({error}). The file is damaged or is not "
            "safetensors; fetch it again."
        ) from error
    if meta.get("format") != FORMATS[role]:
        raise InputError(
            f"weights {path.name} are of format {meta.get('format')!r}, {FORMATS[role]!r} was "
            "expected: they belong to another net, program or version."
        )
    digest = meta.get(CONTENT)
    if digest and digest != _digest_of(path.read_bytes()):
        raise InputError(f"weights {path.name} {_DAMAGED}")
    broken = sorted(k for k, v in state.items() if not v.isfinite().all())
    if broken:
        raise InputError(f"weights {path.name}: {broken[0]} is no number. They {_DAMAGED}")
    if not _said({FITTED: "true"} | meta, FITTED, path):
        logger.warning(
            "weights %s are of a training that has not ended: their thresholds are guesses, and "
            "what they call a probability is none. Let the training end.",
            path.name,
        )
    return {k: v.float() for k, v in state.items()}, meta


def _said(meta: dict[str, str], what: str, path: Path) -> Any:
    """What the header of a file says."""
    try:
        return json.loads(meta[what])
    except (KeyError, ValueError) as error:
        raise InputError(
            f"weights {path.name} do not say their {what}, as every file that `train.py` writes "
            f"does: {_OTHER_PROGRAM}"
        ) from error


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_DAMAGED = "were damaged or cut short since they were written. Fetch or copy them again."
_OTHER_PROGRAM = "they were written or altered by another program. Use the file as it was trained."
Net = TypeVar("Net", bound="nn.Module")


def _filled(net: Net, state: dict[str, Tensor], path: Path) -> Net:
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"weights {path.name} do not fit the net they name: {error}") from error
    return net


def save_segment_weights(
    path: Path, net: SpineUNet, thresholds: dict[str, float], *, fitted: bool = True
) -> str:
    """Write a net (not folded) as half-precision safetensors; returns its sha256.

    Parameters
    ----------
    fitted: whether the thresholds are, and the probability; not while training goes on
    """
    meta = {
        FITTED: json.dumps(fitted),
        "channels": json.dumps(list(net.channels)),
        "thresholds": json.dumps(thresholds, sort_keys=True),
    }
    return _save(path, net, "segment", meta)


def save_match_weights(
    path: Path, net: SiameseMatcher, temperature: float, *, fitted: bool = True
) -> str:
    """Write a matching head as half-precision safetensors; returns its sha256. `fitted` as of
    `save_segment_weights`."""
    meta = {FITTED: json.dumps(fitted), "temperature": repr(temperature)}
    return _save(path, net, "match", meta)


def _save(path: Path, net: nn.Module, role: Role, meta: dict[str, str]) -> str:
    import torch
    from safetensors.torch import save

    state = {
        k: (v.half() if v.is_floating_point() else v).contiguous().cpu()
        for k, v in net.state_dict().items()
        if not k.endswith("num_batches_tracked")
    }
    broken = [k for k, v in state.items() if not v.isfinite().all()]
    if broken:
        raise InputError(
            f"{path.name} is not written: {broken[0]} of the net is no number. The training "
            "diverged; give a lower --learning_rate."
        )
    meta = {"format": FORMATS[role], "torch": torch.__version__, **meta}
    with published(path) as aside:
        # `save_file` would let only its owner read it
        aside.write_bytes(_signed(save(state, meta)))
    return sha256_of(path)


def _signed(content: bytes) -> bytes:
    """A safetensors file that names the digest of its tensors, and with the names of its header
    sorted: the library writes them in any order, and one net would have many digests."""
    end = _header_end(content)
    header = json.loads(content[8:end])
    header["__metadata__"][CONTENT] = _digest_of(content)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors stay aligned
    return len(text).to_bytes(8, "little") + text + content[end:]


def _header_end(content: bytes) -> int:
    return 8 + int.from_bytes(content[:8], "little")


def _digest_of(content: bytes) -> str:
    """Of the tensors in a safetensors file."""
    return sha256(content[_header_end(content) :]).hexdigest()
