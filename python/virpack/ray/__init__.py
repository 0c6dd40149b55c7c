"""The parts of a plan on a Ray cluster. Needs Ray: ``pip install 'virpack[ray]'``."""

from virpack.ray._embed import embed as embed
from virpack.ray._embed import part_rows as part_rows
from virpack.ray._summary import FailedPart as FailedPart
from virpack.ray._summary import PartsFailed as PartsFailed
from virpack.ray._summary import Summary as Summary
from virpack.ray._worker import EmbedPart as EmbedPart
