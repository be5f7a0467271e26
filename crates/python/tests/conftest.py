import ksom
import pytest
from support import noise


@pytest.fixture(scope="session")
def small():
    """The built-in model for small pictures."""
    return ksom.Model.from_pretrained("cifar10-ksom")


@pytest.fixture(scope="session")
def two_levels():
    """The built-in model of two levels."""
    return ksom.Model.from_pretrained("photos-ksom-vqvae2")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder of 40 pictures to train on."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("pictures")
    for number in range(40):
        Image.fromarray(noise(number, 8, 8).repeat(4, 0).repeat(4, 1)).save(folder / f"{number:02}.png")
    return folder
