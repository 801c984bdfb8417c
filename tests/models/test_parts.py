"""Parts of the zoo: what is trained first fits into what is trained with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from facefort.models import build
from facefort.models.factory import load_part


@pytest.mark.parametrize(
    ("part", "restorer"),
    [("vqgan", "codeformer"), ("vqgan", "mssg"), ("vqgan_v1", "vqfr"), ("vqgan_v2", "vqfr_v2")],
)
def test_a_codebook_of_the_zoo_fits_into_its_restorer(part: str, restorer: str) -> None:
    given = build(part, preset="zoo").network.state_dict()
    own = build(restorer, preset="zoo").network.state_dict()
    assert given.keys() <= own.keys()
    assert all(own[key].shape == value.shape for key, value in given.items())


@pytest.mark.parametrize("part", ["vqgan", "vqgan_v1", "vqgan_v2"])
def test_a_codebook_is_known_by_its_keys_and_reproduces_what_it_did(part: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    built = build(part, preset="zoo")
    torch.save(built.network.state_dict(), tmp_path / "codes.pth")
    found = load_part(tmp_path / "codes.pth")
    assert found.architecture.name == part
    face = torch.rand(1, 3, 128, 128)
    assert torch.equal(found.restore(face), built.restore(face))


@pytest.mark.parametrize("restorer", ["codeformer", "vqfr", "vqfr_v2"])
def test_a_restorer_is_not_taken_for_the_codebook_that_it_contains(restorer: str, tmp_path: Path) -> None:
    torch.save(build(restorer, preset="zoo").network.state_dict(), tmp_path / "whole.pth")
    assert load_part(tmp_path / "whole.pth").architecture.name == restorer


@pytest.mark.parametrize("part", ["vqgan", "vqgan_v1", "vqgan_v2"])
def test_a_codebook_learns_from_the_clean_face_alone(part: str) -> None:
    built = build(part, preset="zoo").train()
    clean = torch.rand(2, 3, 128, 128)
    one, other = (built.training_pass(torch.rand_like(clean), clean, None) for _ in range(2))
    assert torch.allclose(one.restored, other.restored)
    assert float(one.own["codebook"].detach()) > 0


@pytest.mark.parametrize(
    ("prior", "restorer", "place"),
    [("gpen_prior", "gpen", "generator"), ("gfpgan_prior", "gfpgan", "stylegan_decoder")],
)
def test_a_prior_of_the_zoo_fills_its_restorers_generator_and_draws_what_it_drew(
    prior: str, restorer: str, place: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    built = build(prior, preset="zoo").network
    build(restorer, preset="zoo").network.get_submodule(place).load_state_dict(built.state_dict())
    torch.save(built.state_dict(), tmp_path / "prior.pth")
    found = load_part(tmp_path / "prior.pth")
    assert found.architecture.name == prior
    codes = torch.randn(2, built.code_width)
    drawn = found.network.draw(codes)
    assert drawn.shape == (2, 3, 128, 128)
    assert torch.allclose(drawn, built.draw(codes), atol=1e-5)
    assert float((drawn[0] - drawn[1]).abs().mean()) > 1e-4, "codes must matter"


@pytest.mark.parametrize("restorer", ["gpen", "gfpgan"])
def test_a_restorer_is_not_taken_for_its_prior(restorer: str, tmp_path: Path) -> None:
    torch.save(build(restorer, preset="zoo").network.state_dict(), tmp_path / "whole.pth")
    assert load_part(tmp_path / "whole.pth").architecture.name == restorer
