"""A music collection: a catalogue of what models hear in its files, playlists of it, and labels in the files' own tags.

::

    from harken.library import Asker, Catalogue, scan

    with Catalogue("library.sqlite", create=True) as catalogue, catalogue.alone():
        scan("music/", Asker(catalogue, "dances.harken"))
"""

from harken.library.catalogue import Catalogue, default_place
from harken.library.scanning import Asker, Scan, scan
from harken.library.sound import sound_hash

__all__ = ["Asker", "Catalogue", "Scan", "default_place", "scan", "sound_hash"]
