"""What to say about a path that no reader takes."""

from pathlib import Path

from linnet.files.refused import first_bytes
from linnet.interop import diffusers_folder, safetensors

EDM = (
    "a pickle of EDM: it contains program code, so it is not opened here; docs/checkpoints.md shows how to export its "
    "arrays"
)
PICKLE = "a pickle, which could run any code when opened; save it again as torch.save or safetensors does"
DIFFUSERS = (
    "parameters of diffusers' UNet2DModel without the config.json that says what they are; put them beside it, as "
    "diffusion_pytorch_model.bin, and give the folder"
)
BEGINNINGS = {
    b"\xfd7zXZ\x00": "compressed with xz; decompress it first (xz -d)",
    b"\x1f\x8b": "compressed with gzip, or a .tar.gz; decompress it first",
    b"BZh": "compressed with bzip2; decompress it first",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; decompress it first",
    b"\x89HDF": "an HDF5 file; no published diffusion checkpoint read here is one",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself; fetch it with git lfs pull",
    b"<": "a web page (the download was refused or interrupted); download it again",
    b"PK": "a zip archive, but not a readable one of torch.save: damaged, cut short, or an .npz or plain archive",
    b"\x93NUMPY": "a single NumPy array",
}


def kind_of(path: Path) -> str:
    """What the file or folder looks like and what to do, in one line."""
    if path.is_dir():
        described = diffusers_folder.read_json(path / "config.json").get("_class_name")
        if described:
            return f"a folder of diffusers with a {described}; only a UNet2DModel of images is read"
        names = sorted(p.name for p in path.iterdir())
        return f"a folder without a checkpoint; it holds {', '.join(names[:8]) or 'nothing'}"
    start = first_bytes(path, 1 << 16)
    if not start:
        return "an empty file"
    if safetensors.recognises(path):
        return "safetensors without a config.json beside it that says what they are; give the folder of both"
    if start[0] == 0x80 and len(start) > 1 and start[1] in range(2, 6):
        return EDM if b"torch_utils" in start else PICKLE
    for beginning, text in BEGINNINGS.items():
        if start.startswith(beginning):
            return text
    return f"of no known format (it begins with {start[:8].hex(' ')}); docs/checkpoints.md lists what can be read"
