"""The ten datasets of the SpaDiT paper: what is known of them, and which files to put where.

They are not bundled. Sources are the references of the paper's supplementary Table 1; numbers "Li et al." are those of
the benchmark the paper's data come from (Nature Methods 2022), "scored genes" the sizes of its per-gene result files.
The paper itself lists no accession, so what rests on gene lists and counts of genes is marked as inferred.
"""

from __future__ import annotations

from ._base import Facts
from ._folders import FolderPair


def _paper(name: str, title: str, *facts: str, inferred: str = "") -> FolderPair:
    technology, tissue, organism, size, source = facts
    known = Facts(technology, tissue, organism, source, size, tuple(inferred.split()))
    return FolderPair(name, f"{title} (the paper's {name})", known)


DATASETS = (
    _paper(
        "MG",
        "mouse gastrulation, seqFISH",
        "seqFISH",
        "embryo at gastrulation",
        "mouse",
        "8425 spots; 347 scored genes",
        "Li et al. dataset 1; the paper cites Tabula Muris (Schaum et al., Nature 2018)",
    ),
    _paper(
        "MH",
        "mouse hippocampus, seqFISH",
        "seqFISH",
        "hippocampus",
        "mouse",
        "170 scored genes",
        "Li et al. dataset 3; the paper cites Joglekar et al., Nature Communications 2021",
        inferred="technology tissue size source",
    ),
    _paper(
        "MHPR",
        "mouse hypothalamic preoptic region, MERFISH",
        "MERFISH",
        "hypothalamic preoptic region",
        "mouse",
        "154 scored genes",
        "Li et al. dataset 6; Moffitt et al., Science 2018",
    ),
    _paper(
        "MVC",
        "mouse visual cortex, STARmap",
        "STARmap",
        "visual cortex",
        "mouse",
        "981 scored genes",
        "Li et al. dataset 10 (4 and 17 are visual cortex as well); Wang et al., Science 2018",
        inferred="size source",
    ),
    _paper(
        "MHM",
        "mouse hindlimb muscle, sequencing-based",
        "sequencing-based",
        "hindlimb muscle",
        "mouse",
        "914 or 946 scored genes",
        "Li et al. dataset 18 or 19; McKellar et al., Communications Biology 2021",
        inferred="technology tissue size source",
    ),
    _paper(
        "HBC",
        "human breast cancer, sequencing-based",
        "sequencing-based",
        "breast cancer",
        "human",
        "1000 scored genes",
        "Li et al. one of datasets 20 to 25; Wu et al., Nature Genetics 2021",
        inferred="technology tissue size source",
    ),
    _paper(
        "ME",
        "mouse embryo, DBiT-seq",
        "DBiT-seq",
        "embryo",
        "mouse",
        "1000 scored genes",
        "Li et al. dataset 43 (27 is possible); the paper cites Sanchez-Ferras et al., Nature Communications 2021",
        inferred="technology tissue size source",
    ),
    _paper(
        "MPMC",
        "mouse primary motor cortex, MERFISH",
        "MERFISH",
        "primary motor cortex",
        "mouse",
        "252 or 251 scored genes",
        "Li et al. dataset 8 or 9 (the ST of 8 is scaled, with negative values: it is refused); "
        "the paper cites Zhou et al., Nature Communications 2020, a study of osteosarcoma",
        inferred="technology tissue size source",
    ),
    _paper(
        "MC",
        "mouse cerebellum or cortex, sequencing-based beads",
        "sequencing-based bead array",
        "cerebellum or cortex",
        "mouse",
        "1000 scored genes",
        "Li et al. dataset 40; the paper cites Mikheenko et al., Genome Research 2022",
        inferred="technology tissue",
    ),
    _paper(
        "ML",
        "mouse liver, Seq-scope",
        "Seq-scope",
        "liver",
        "mouse",
        "1000 scored genes",
        "Li et al. dataset 45; the paper cites Tabula Muris (Schaum et al., Nature 2018)",
        inferred="technology tissue",
    ),
)
