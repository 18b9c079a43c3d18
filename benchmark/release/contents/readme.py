"""The README of a release: what it is, what it promises, how to open it, and how to check it."""

from __future__ import annotations

from string import Template

from benchmark.release.contents.licences import find_licence
from benchmark.release.contents.volumes import WHITE
from benchmark.release.naming import volume_names
from benchmark.release.statement import Statement
from benchmark.release.wording import contents, promise, stamp, title

_TEXT = Template(
    """# $title

`$stamp`

$contents

Generator: `$generator`. Licence: [$licence]($url). Released on $created.

## What is promised

$promise

`privacy.json` says the same for machines, with all numbers. `dossier.html` says it at length.

## How it lies here

| files | are |
|---|---|
| `imagesTr/`, `labelsTr/`, `dataset.json` | the volumes and masks under nnU-Net's names |
| `sub-*/`, `dataset_description.json` | the same files under BIDS's names |
| `previews/`, `contact-sheet.png` | pictures of the patches |
| `privacy.json`, `dossier.html` | what is promised, and what was checked |
| `croissant.json` | the description for search engines and loaders (ML Croissant) |

Images are whole numbers from 0 to $white, which stand for -1 to 1. Masks are 1 in vessels and 0
elsewhere. Slices are independent patches, so use two-dimensional models. They lie 10 mm apart in
the files, so that tools do not take neighbours for one anatomy.

## How to open it

nnU-Net, with its two-dimensional configuration and no other:

```sh
ln -s "$$PWD" "$$nnUNet_raw/Dataset501_SyntheticAngiography"
nnUNetv2_plan_and_preprocess -d 501 -c 2d
nnUNetv2_train 501 2d all
```

MONAI:

```python
from monai.data import load_decathlon_datalist
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, ScaleIntensityRanged

keys = ["image", "label"]
pairs = load_decathlon_datalist("dataset.json", data_list_key="training", base_dir=".")
scale = ScaleIntensityRanged("image", 0, $white, -1, 1)
load = Compose([LoadImaged(keys), EnsureChannelFirstd(keys), scale])
volume = load(pairs[0])  # (1, H, W, k): k independent patches
```

nibabel:

```python
import nibabel as nib

images = nib.load("$image").get_fdata() / $white * 2 - 1
masks = nib.load("$mask").get_fdata() > 0
patch, its_mask = images[:, :, 0], masks[:, :, 0]
```

AngioBench, where the volumes stand for patients:

```sh
bench data inspect .
bench run --generator dp-simulator --epsilon 5 --data .
```

## How to check it

```sh
sha256sum --quiet -c SHA256SUMS
bench verify-release .
```
"""
)


def readme(statement: Statement) -> str:
    """Write the README.

    Args:
        statement: The release's.

    Returns:
        Markdown.

    Raises:
        UsageError: For a licence that is not known.
    """
    first, licence = volume_names(statement.samples)[0], find_licence(statement.licence)
    return _TEXT.substitute(
        title=title(statement),
        stamp=stamp(statement),
        contents=contents(statement.samples),
        generator=statement.spec.generator.name,
        licence=licence.identifier,
        url=licence.url,
        created=statement.created,
        promise=promise(statement),
        white=WHITE,
        image=first.image,
        mask=first.mask,
    )
