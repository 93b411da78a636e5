"""Where work is done, as a run's parameters say it (``params:engine``)."""

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


class TlsOptions(BaseModel):
    """Who may speak to the scheduler: holders of a certificate signed by one authority.

    Attributes:
        ca_file: Certificate of that authority (PEM).
        cert_file: Certificate of this party.
        key_file: Its private key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ca_file: Path
    cert_file: Path
    key_file: Path

    @model_validator(mode="after")
    def _files_are_there(self) -> Self:
        for name, file in self:
            if not file.is_file():
                raise ValueError(f"The {name} {file} does not exist; docs/cluster.md says how to make one.")
        return self


class SlurmOptions(BaseModel):
    """Jobs to ask SLURM for; each holds ``cores`` workers of one thread.

    Attributes:
        jobs: How many.
        cores: Of one job.
        memory: Of one job, e.g. ``"32GB"``.
        walltime: How long a job may last, ``"HH:MM:SS"``.
        queue: Partition; None for the site's default.
        account: Who pays; None for the site's default.
        interface: Network interface that the nodes see, e.g. ``"ib0"``; None for the default route's.
        shared_folder: A folder that every node sees and others cannot read: certificates of this run go there.
        directives: Further ``#SBATCH`` lines, e.g. ``"--qos=short"``.
        prologue: Shell lines before the worker starts, e.g. ``"module load mesa"``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    jobs: int = Field(default=1, ge=1, le=1024)
    cores: int = Field(default=8, ge=1, le=1024)
    memory: str = "16GB"
    walltime: str = Field(default="04:00:00", pattern=r"^(\d+-)?\d{1,2}:\d{2}:\d{2}$")
    queue: str | None = None
    account: str | None = None
    interface: str | None = None
    shared_folder: Path
    directives: tuple[str, ...] = ()
    prologue: tuple[str, ...] = ()


def _empty_is_none(value: object) -> object:
    return None if value in ("", "null", "none", "None") else value


class EngineOptions(BaseModel):
    """Where chunks of work are done, and what one of them may take."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int = Field(
        default=0, ge=0, le=1024, description="Processes of this machine; 0: one a core; 1: this process, unprotected."
    )
    memory: str = Field(
        default="auto", description="What one of them may hold, e.g. '4GB'; above it, it alone is ended. '0': no limit."
    )
    seconds: float = Field(
        default=900.0, gt=0, description="What a chunk (a sequence of scans) may take before its process is ended."
    )
    address: Annotated[str | None, BeforeValidator(_empty_is_none)] = Field(
        default=None, description="A running scheduler instead: tls://host:8786, or tcp:// on this machine."
    )
    slurm: SlurmOptions | None = Field(default=None, description="Jobs of a SLURM cluster instead.")
    tls: TlsOptions | None = Field(default=None, description="Certificates for an address or for SLURM.")
    plain_network: bool = Field(
        default=False, description="Speak to other hosts without TLS: anyone on that network can then run code."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.address is not None and self.slurm is not None:
            raise ValueError(
                "An engine works at an address or on SLURM, not both: drop engine.address or engine.slurm."
            )
        return self

    @model_validator(mode="after")
    def _other_hosts_are_spoken_to_in_secret(self) -> Self:
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
                "you. Use tls:// (docs/cluster.md), or say engine.plain_network=true on a network that is yours alone."
            )
        return self


IN_PROCESS = EngineOptions(workers=1)
"""No other process: what a library call does unless it is told otherwise. The nodes pass the run's own engine."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
