"""What is known of each dataset: size, licence, source, layout, parts, faults, and the recipes with figures published on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Facts:
    """A dataset in words.

    Attributes
    ----------
    name : str
        As in ``name:ROOT``.
    title, size, licence, citation, home : str
        ``size`` says how much music, and how much disk.
    tracks : int
    classes : int
        Of the default label.
    layout : tuple of str
        What lies under ROOT, a line each.
    labels, groups : tuple of str
        What ``--label`` and ``--group`` may name; the first is taken by itself.
    parts : str
        Which parts it brings.
    faults : tuple of str
        What is known to be broken or unfair.
    recipes : tuple of str
        Those whose published figure was measured on it.
    proven : str
        What of the loader was run, and on what.
    """

    name: str
    title: str
    tracks: int
    classes: int
    size: str
    licence: str
    citation: str
    home: str
    layout: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    parts: str
    proven: str
    faults: tuple[str, ...] = ()
    recipes: tuple[str, ...] = field(default=())

    def to_table(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


_DOCUMENTED = "written from its documentation, and tried on small synthesised copies only, not on the real audio"

FACTS: dict[str, Facts] = {
    facts.name: facts
    for facts in (
        Facts(
            name="gtzan",
            title="GTZAN genre collection",
            tracks=1_000,
            classes=10,
            size="8.3 h in clips of 30 s, 1.2 GB",
            licence="not stated; used for research",
            citation="G. Tzanetakis, P. Cook, Musical genre classification of audio signals, IEEE TSAP 10(5), 2002",
            home="http://marsyas.info/downloads/datasets.html (no longer served; copies are on Kaggle and Hugging Face)",
            layout=(
                "genres/ or genres_original/ (or ROOT itself)",
                "  blues/blues.00000.wav (or .au) … rock/rock.00099.wav",
                "or, without audio, features_30_sec.csv: 57 numbers a track (a table of that kind may also be ROOT itself)",
            ),
            labels=("genre",),
            groups=("none",),
            parts="fault-filtered, no artist on two sides: 443 train, 197 valid, 290 test (Kereliuk, Sturm, Larsen 2015)",
            faults=(
                "replicas, distorted and wrongly labelled clips: 70 clips are in no part (B. L. Sturm, arXiv:1306.1461)",
                "jazz.00054 is broken in the copy on Kaggle",
                "the artists are not in the data: intervals count each track as its own group",
            ),
            proven=f"{_DOCUMENTED}; run on the published feature table of all 1,000 tracks, with whose names the lists agree",
            recipes=("knn", "deep-knn"),
        ),
        Facts(
            name="fma",
            title="Free Music Archive, small or medium",
            tracks=8_000,
            classes=8,
            size="small: 8,000 clips of 30 s, 8 genres, 7.2 GiB; medium: 25,000 clips, 16 genres, 22 GiB",
            licence="metadata CC BY 4.0; each track under the licence that its artist chose",
            citation="M. Defferrard, K. Benzi, P. Vandergheynst, X. Bresson, FMA: a dataset for music analysis, ISMIR 2017",
            home="https://github.com/mdeff/fma",
            layout=("fma_metadata/tracks.csv", "fma_small/000/000002.mp3 … (or fma_medium/)"),
            labels=("genre",),
            groups=("artist", "album", "none"),
            parts="official, no artist on two sides: small 6,400 / 800 / 800, medium 19,922 / 2,505 / 2,573",
            faults=(
                "3 files of the small set and 15 of the medium one have no audio, and are left out",
                "3 and 6 more are shorter than 30 s (0.5 to 27.4 s), and are used",
            ),
            proven=_DOCUMENTED,
        ),
        Facts(
            name="nsynth",
            title="NSynth, single notes",
            tracks=305_979,
            classes=11,
            size="340 h in notes of 4 s at 16 kHz, about 40 GB",
            licence="CC BY 4.0",
            citation="J. Engel et al., Neural audio synthesis of musical notes with WaveNet autoencoders, ICML 2017",
            home="https://magenta.tensorflow.org/datasets/nsynth",
            layout=(
                "nsynth-train/examples.json, nsynth-train/audio/bass_synthetic_033-022-050.wav …",
                "nsynth-valid/ and nsynth-test/ likewise (or one of the three as ROOT)",
            ),
            labels=("family", "source", "instrument"),
            groups=("instrument", "pitch", "velocity", "family", "source", "none"),
            parts="its own: 289,205 train, 12,678 valid, 4,096 test; no training instrument is in another part",
            faults=(
                "synth_lead is in the training part only: --without synth_lead leaves ten families, as was published",
                "valid and test may share instruments",
                "single instruments (--label instrument) can only be split by pitch: all parts are then one table",
            ),
            recipes=("note-mlp", "note-cnn", "note-lstm", "note-blstm"),
            proven="run on a set of 3,088 rendered notes in its layout, and on a synthesised table of 289,205 notes; not on "
            "the real audio",
        ),
        Facts(
            name="ballroom",
            title="Ballroom dance music",
            tracks=698,
            classes=8,
            size="5.8 h in clips of 30 s, an archive of about 1.5 GB",
            licence="not stated; used for research",
            citation="F. Gouyon et al., An experimental comparison of audio tempo induction algorithms, IEEE TASLP 14(5), 2006",
            home="http://mtg.upf.edu/ismir2004/contest/tempoContest/node5.html",
            layout=("BallroomData/ (or ROOT itself)", "  ChaChaCha/Albums-Cafe_Paradiso-05.wav … Waltz/Media-105803.wav"),
            labels=("style",),
            groups=("album", "none"),
            parts="none: Harken splits by album; clips called Media-… tell of no album",
            faults=("13 recordings are there twice (B. L. Sturm): each pair is kept together",),
            proven=_DOCUMENTED,
        ),
        Facts(
            name="extended-ballroom",
            title="Extended Ballroom dance music",
            tracks=4_180,
            classes=13,
            size="35 h in clips of 30 s",
            licence="not stated; the archive holds a script that fetches the audio",
            citation="U. Marchand, G. Peeters, The Extended Ballroom Dataset, ISMIR 2016 (late-breaking session)",
            home="http://anasynth.ircam.fr/home/media/ExtendedBallroom",
            layout=("extendedballroom_v1.1.xml", "Chacha/100701.mp3 … Wcswing/… (or both in extendedballroom_v1.1/)"),
            labels=("style",),
            groups=("artist", "song", "none"),
            parts="none: Harken splits by artist; the same recording again joins its artists",
            faults=("repeated recordings and songs, marked in the XML: --group song keeps all versions of a song together",),
            proven=f"{_DOCUMENTED}; the XML's form was read from the published table",
        ),
        Facts(
            name="emotify",
            title="Emotify, excerpts from Magnatune",
            tracks=400,
            classes=4,
            size="6.7 h in excerpts of a minute, 363 MB",
            licence="music CC BY-NC-SA (Magnatune); cite the paper",
            citation="A. Aljanaki, F. Wiering, R. C. Veltkamp, Studying emotion induced by music through a crowdsourcing game, "
            "Information Processing & Management 52, 2016",
            home="https://www2.projects.science.uu.nl/memotion/emotifydata/",
            layout=("tracks.csv (path, label, artist); or, as published,", "emotifymusic/classical/1.mp3 … rock/100.mp3"),
            labels=("genre",),
            groups=("artist", "album", "none"),
            parts="none: Harken splits by artist",
            proven="run on 240 real tracks with a table; the published layout is " + _DOCUMENTED,
        ),
    )
}
"""By name, in the order in which they are listed."""
