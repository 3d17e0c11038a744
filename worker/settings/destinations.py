"""Destinations: the archives to which results are sent. Read from `THORAQ_DESTINATIONS`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr

from worker.settings.doors import AeTitle

#: What is sent of a result: the structured report, the picture.
ObjectKind = Literal["sr", "picture"]
Objects = Annotated[tuple[ObjectKind, ...], Field(min_length=1)]


class _Destination(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    objects: Objects = ("sr", "picture")
    #: PEM files: the authorities that sign the archive's certificate, and a certificate of our own with its key.
    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class DicomDestination(_Destination):
    """An archive that takes objects by C-STORE."""

    kind: Literal["dicom"]
    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=104, ge=1, le=65535)
    #: Its AE title, and ours.
    called: AeTitle
    calling: AeTitle = "THORAQ"
    tls: bool = False


class StowDestination(_Destination):
    """An archive that takes objects by STOW-RS (DICOMweb)."""

    kind: Literal["stow"]
    #: The base of its DICOMweb services, to which `/studies` is added.
    url: HttpUrl
    #: The value of the header `Authorization`.
    authorization: SecretStr | None = None


Destination = Annotated[DicomDestination | StowDestination, Field(discriminator="kind")]
