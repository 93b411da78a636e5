"""Options of parallel work (``params:engine``): number of processes, limits, scheduler address, certificates."""

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, Field, model_validator


class TlsOptions(BaseModel, frozen=True, extra="forbid"):
    """Certificates for a scheduler at an address: only holders of one signed by the same authority are accepted."""

    ca_file: Path = Field(description="Certificate of the authority (PEM).")
    cert_file: Path = Field(description="Certificate of this party.")
    key_file: Path = Field(description="Its private key.")

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        for name, file in self:
            if not file.is_file():
                raise ValueError(f"The {name} {file} does not exist; docs/cluster.md says how to make one.")
        return self


def _empty_is_none(value: object) -> object:
    return None if value in ("", "null", "none", "None") else value


class EngineOptions(BaseModel, frozen=True, extra="forbid"):
    """Processes that run chunks of work, and the limits of one chunk."""

    workers: int = Field(
        default=0, ge=0, le=1024, description="Processes of this machine; 0: one a core; 1: this process, unprotected."
    )
    memory: str = Field(
        default="auto",
        description="Memory limit of one process, e.g. '4GB': above it, it is ended. '0': no limit.",
    )
    seconds: float = Field(
        default=900.0, gt=0, description="Time limit of a chunk (a sequence of scans); after it, its process is ended."
    )
    address: Annotated[str | None, BeforeValidator(_empty_is_none)] = Field(
        default=None, description="A running Dask scheduler instead: tls://host:8786, or tcp:// on this machine."
    )
    tls: TlsOptions | None = Field(default=None, description="Certificates for the address.")
    plain_network: bool = Field(
        default=False, description="Connect to other hosts without TLS: anyone on that network can then run code."
    )

    @model_validator(mode="after")
    def _check_address(self) -> Self:
        if self.address is None:
            return self
        place = urlsplit(self.address)
        if place.scheme not in ("tcp", "tls") or place.hostname is None or place.port is None:
            raise ValueError(f"engine.address is {self.address!r}: it must read tls://host:port or tcp://host:port.")
        if place.scheme == "tls" and self.tls is None:
            raise ValueError(f"{self.address} needs certificates: engine.tls.ca_file, cert_file and key_file.")
        if place.scheme == "tcp" and not (is_loopback(place.hostname) or self.plain_network):
            raise ValueError(
                f"{self.address} is another host and is not encrypted: anyone who reaches that port can run code as "
                "you. Use tls:// (docs/cluster.md), or set engine.plain_network=true on a network that is yours alone."
            )
        return self


IN_PROCESS = EngineOptions(workers=1)
"""No other process: the default of library calls. Pipeline nodes pass the run's own engine."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
