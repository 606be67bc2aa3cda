"""Settings: read once from the environment or a `.env` file, typed, bounded, unit in the name.

Every name here is an environment variable with the prefix `BROADSHEET_` (`BROADSHEET_HOME`, …). The
README's settings table is generated from the descriptions below, and a test holds it to them.
"""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "BROADSHEET_"


class Settings(BaseSettings):
    """Everything an installation can decide. Unset values make a working single-process service."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # it may be somebody's token
    )

    home: Path = Field(
        Path("~/.broadsheet"),
        description="Data folder. Database, outbox and secret key live here unless set elsewhere.",
    )
    database_url: str = Field(
        "",
        description="SQLAlchemy address of the database, `postgresql://user:pass@host/name` or "
        "`sqlite:///file`. Unset: `HOME/broadsheet.db` (SQLite).",
    )
    broker_url: str = Field(
        "",
        description="Celery broker, `redis://host:6379/0`. Unset: an in-process broker, enough for `broadsheet up`.",
    )
    public_url: str = Field(
        "http://127.0.0.1:8100",
        description="Address under which readers reach the web pages; links in digests start with it.",
    )
    secret_key: SecretStr = Field(
        SecretStr(""),
        description="Signs links and sessions, and seals the addresses of webhooks in the database. Unset: made once "
        "and kept in `HOME/secret_key`.",
    )
    old_secret_keys: SecretStr = Field(
        SecretStr(""),
        description="Comma-separated secret keys of before, after a change of `SECRET_KEY`: links signed with them "
        "still open, and `broadsheet secrets rotate` seals anew what they sealed.",
    )
    feeds: Path | None = Field(
        None, description="Path of a feeds.toml. Unset: `HOME/feeds.toml` if there is one, else the shipped one."
    )
    templates: Path | None = Field(
        None,
        description="Folder with templates of your own, `edition.html.j2` and `edition.txt.j2`. Unset: "
        "`HOME/templates`.",
    )
    smtp_url: SecretStr = Field(
        SecretStr(""),
        description="`smtp://`, `smtps://` or `smtp+starttls://user:pass@host:port`; several, by comma, are tried "
        "in that order when one cannot be reached. Unset: messages go to `HOME/outbox/*.eml`.",
    )
    mail_from: str = Field(
        "Broadsheet <broadsheet@localhost>", description="Sender of digests, `Name <address>` or an address."
    )
    smtp_ambiguity: Literal["hold", "resend"] = Field(
        "hold",
        description="What to do when a server's answer was lost after the message was handed over: `hold` "
        "leaves it `unknown` for a person, `resend` sends the same bytes and Message-ID again.",
    )
    smtp_per_second: float = Field(
        0, ge=0, le=1000, description="Most mails a second over all workers; 0.2 is one in five seconds, 0 no limit."
    )
    smtp_per_hour: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Most mails in any sixty minutes over all workers; 0 sets no limit. "
        "`broadsheet deliveries slow` lowers it at once.",
    )
    dkim_selector: str = Field(
        "",
        description="Name under which the DKIM key is published, `NAME._domainkey.DOMAIN`; several, by comma, for as "
        "many keys. Unset: mails are not signed here.",
    )
    dkim_domain: str = Field("", description="Domain that signs. Unset: that of `MAIL_FROM`.")
    dkim_key_file: str = Field(
        "", description="File with the private key, RSA or Ed25519, in PEM form; several, by comma, to sign with each."
    )
    dkim_key: SecretStr = Field(
        SecretStr(""), description="The private key itself instead of its file; `\\n` may stand for line ends."
    )
    slack_api_url: str = Field(
        "https://slack.com/api", description="Where Slack's Web API lives; webhooks under it are accepted, too."
    )
    zotero_url: str = Field("https://api.zotero.org", description="Where Zotero's Web API lives.")
    zotero_key: SecretStr = Field(
        SecretStr(""),
        description="Optional. A key from zotero.org/settings/keys that may write: `broadsheet papers zotero` sends "
        "papers to your library.",
    )
    zotero_library: str = Field("", description="The library it writes to: `users/NUMBER` or `groups/NUMBER`.")
    slack_token: SecretStr = Field(
        SecretStr(""),
        description="Token of a Slack app's bot (`xoxb-…`, scopes `chat:write` and `reactions:read`): `slack:CHANNEL` "
        "gets the list with the details in its thread, and reactions there count as votes.",
    )
    bounce_mailgun_key: SecretStr = Field(
        SecretStr(""),
        description="Mailgun's HTTP webhook signing key. With it `/hooks/bounces/mailgun` takes its reports.",
    )
    bounce_postmark_secret: SecretStr = Field(
        SecretStr(""),
        description="With it `/hooks/bounces/postmark` takes Postmark's reports: the password of the basic "
        "authentication in the webhook's address, or the value of an `X-Broadsheet-Secret` header.",
    )
    bounce_ses_topic: str = Field(
        "",
        description="ARN of the SNS topic (several, by comma) whose reports from Amazon SES `/hooks/bounces/ses` "
        "takes, by SNS's own signature.",
    )
    github_token: SecretStr = Field(
        SecretStr(""),
        description="Optional. With it repositories are read 50 a request; without it one by one, 60 an hour.",
    )
    quota_share: float = Field(
        0.8,
        gt=0,
        le=1,
        description="The part of a host's allowance (calls an hour for your address or token) that may be used up; the "
        "rest stays free for your other programs.",
    )
    code_hosts: str = Field(
        "",
        description="Comma-separated `host=gitlab` or `host=forgejo` (Gitea, too) for further hosts of code that "
        "papers link to. gitlab.com, Codeberg and every `gitlab.…`, `forgejo.…`, `gitea.…` are known without.",
    )
    code_host_tokens: SecretStr = Field(
        SecretStr(""),
        description="Optional. Comma-separated `host=token` for GitLab, Forgejo and Hugging Face "
        "(`gitlab.com=glpat-…`): more calls are allowed with one. For GitHub there is `GITHUB_TOKEN`.",
    )
    llm_url: str = Field(
        "",
        description="Optional. A language model that writes one sentence, labelled AI, for each paper of an edition: "
        "any OpenAI-compatible address, `https://host/v1`. Unset: none is asked. One on a private address needs its "
        "host in `ALLOWED_PRIVATE_HOSTS`, too.",
    )
    llm_model: str = Field("", description="The model's name, as the service at `LLM_URL` knows it.")
    llm_key: SecretStr = Field(SecretStr(""), description="The key for `LLM_URL`, where it wants one.")
    llm_tokens_per_day: int = Field(
        100_000,
        ge=0,
        le=1_000_000_000,
        description="Tokens that may be used up in a day (UTC); then editions go without.",
    )
    admin_password: SecretStr = Field(
        SecretStr(""),
        description="Password of the first administrator, `admin`. Unset: the pages for operators answer on "
        "loopback only, with a password printed at the first start.",
    )
    login_header: str = Field(
        "",
        pattern=r"^[A-Za-z0-9-]{0,60}$",
        description="Header in which a proxy that logs people in says who it is, such as `X-Forwarded-User`. Believed "
        "only from `LOGIN_PROXIES`.",
    )
    login_proxies: str = Field(
        "",
        description="Comma-separated addresses or networks (`10.0.0.0/8`) of the proxies whose `LOGIN_HEADER` is "
        "believed.",
    )
    login_role: Literal["", "viewer", "operator", "admin"] = Field(
        "",
        description="Role of people that such a proxy, or `OIDC_ISSUER`, names and who are not among the users. Unset: "
        "they are not let in; those who are among the users have the role written there.",
    )
    oidc_issuer: str = Field(
        "",
        description="Address of an OpenID Connect provider at which operators may log in, such as "
        "`https://login.example.org/realms/lab`. Register `PUBLIC_URL/admin/oidc/callback` there. One on a private "
        "address needs its host in `ALLOWED_PRIVATE_HOSTS`, too.",
    )
    oidc_client_id: str = Field("", description="What the provider calls this service.")
    oidc_client_secret: SecretStr = Field(
        SecretStr(""), description="The secret it gave; unset for a public client, which PKCE alone protects."
    )
    oidc_scopes: str = Field(
        "openid profile email", pattern=r"(^| )openid( |$)", description="What is asked for, parted by spaces."
    )
    oidc_name_claim: str = Field(
        "preferred_username",
        min_length=1,
        description="Claim of the ID token that is the user's name here. `email` counts only where the provider has "
        "verified it.",
    )
    oidc_role_claim: str = Field(
        "groups", description="Claim that tells the role, one in another by dots: `realm_access.roles`."
    )
    oidc_roles: str = Field(
        "",
        description="Comma-separated `value=role` for values of that claim: `ops=operator,leads=admin,staff=viewer`. "
        "Who has several gets the role that may most; who has none, `LOGIN_ROLE`.",
    )
    semantic_scholar_key: SecretStr = Field(
        SecretStr(""),
        description="Optional. With it Semantic Scholar is asked for citations, venues and DOIs, 500 papers a request.",
    )
    openalex_key: SecretStr = Field(
        SecretStr(""),
        description="Optional. With it OpenAlex is asked for institutions, ORCID, venues and retractions.",
    )
    catalogues_contact: str = Field(
        "",
        description="Optional. A mail address; with it Crossref and DataCite are asked where papers were published, "
        "and told whom to write to.",
    )
    openreview_user: str = Field("", description="Optional. With the password OpenReview is asked for decisions.")
    openreview_password: SecretStr = Field(SecretStr(""), description="Password of `OPENREVIEW_USER`.")
    contact: str = Field(
        "", description="Mail address or page put into the User-Agent, so that upstreams can reach you."
    )
    alert_to: str = Field(
        "",
        description="Who is told when a feed keeps failing and when it is well again: an address, `slack:URL` or "
        "`webhook:URL`, as in `subscriptions add --to`. Unset: the log and the pages for operators only.",
    )
    allowed_private_hosts: str = Field(
        "",
        description="Comma-separated `host` or `host:port` that may be called though they are private addresses.",
    )

    hf_url: str = Field("https://huggingface.co", description="Hugging Face.")
    arxiv_api_url: str = Field("https://export.arxiv.org/api", description="arXiv Atom API.")
    arxiv_rss_url: str = Field("https://rss.arxiv.org", description="arXiv RSS.")
    arxiv_oai_url: str = Field("https://oaipmh.arxiv.org/oai", description="arXiv OAI-PMH.")
    github_api_url: str = Field("https://api.github.com", description="GitHub REST and GraphQL.")
    github_url: str = Field("https://github.com", description="GitHub's pages: feeds of releases.")
    gitlab_url: str = Field("https://gitlab.com", description="GitLab.")
    codeberg_url: str = Field("https://codeberg.org", description="Codeberg.")
    biorxiv_url: str = Field("https://api.biorxiv.org", description="The API of bioRxiv and medRxiv.")
    semantic_scholar_url: str = Field("https://api.semanticscholar.org", description="Semantic Scholar.")
    openalex_url: str = Field("https://api.openalex.org", description="OpenAlex.")
    crossref_url: str = Field("https://api.crossref.org", description="Crossref.")
    datacite_url: str = Field("https://api.datacite.org", description="DataCite.")
    openreview_url: str = Field("https://api2.openreview.net", description="OpenReview's API 2.")

    fetch_deadline_s: float = Field(60, ge=1, le=600, description="Longest a whole fetch may take.")
    fetch_max_mb: int = Field(64, ge=1, le=1024, description="Largest body accepted, after decompression.")
    gate_scale: float = Field(
        1.0,
        ge=0,
        le=100,
        description="Factor on the pauses between calls to one host (1 is what each host asks for; tests against "
        "a replay use 0).",
    )
    retry_first_s: float = Field(
        60, ge=0.1, le=3600, description="Wait before the second try of a failed job; later waits grow from it."
    )
    lease_s: int = Field(
        300, ge=5, le=86_400, description="How long a worker may hold a job before another takes it over."
    )
    poll_s: float = Field(
        5, gt=0, le=3600, description="How often every worker looks for due work that no message told it of."
    )
    tick_s: float = Field(10, gt=0, le=3600, description="How often the schedule adds what has become due.")
    concurrency: int = Field(4, ge=1, le=256, description="Work done at the same time in one process.")
    repo_recheck: bool = Field(True, description="Whether repositories are read again as time goes by.")
    paper_recheck: bool = Field(
        True, description="Whether young papers are looked at again for what comes late: votes, comments, models, code."
    )
    backfill_days: int = Field(
        14, ge=0, le=365, description="How many missed days are fetched by themselves from sources with a past."
    )
    digest_wait_minutes: int = Field(
        90, ge=0, le=1440, description="How long a digest waits for its feeds' batches before it goes out without."
    )
    documents_keep_days: int = Field(
        90, ge=1, le=36_500, description="How long the bytes of fetched documents are kept for a replay."
    )
    audit_keep_days: int = Field(
        400, ge=1, le=36_500, description="How long the audit of acts of persons and programs is kept."
    )
    messages_keep_days: int = Field(
        30, ge=1, le=36_500,
        description="How long the bytes of a message are kept once its delivery is settled; sending it again after "
        "that renders it anew.",
    )  # fmt: skip
    jobs_keep_days: int = Field(30, ge=1, le=36_500, description="How long finished jobs stay listed.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="`auto` is colour on a terminal and JSON elsewhere."
    )
    web_host: str = Field("127.0.0.1", description="Address the web pages listen on.")
    web_port: int = Field(8100, ge=0, le=65_535, description="Port the web pages listen on; 0 takes a free one.")

    @field_validator(
        "public_url",
        "hf_url",
        "arxiv_api_url",
        "arxiv_rss_url",
        "arxiv_oai_url",
        "github_api_url",
        "github_url",
        "gitlab_url",
        "codeberg_url",
        "slack_api_url",
        "zotero_url",
        "biorxiv_url",
        "semantic_scholar_url",
        "openalex_url",
        "crossref_url",
        "datacite_url",
        "openreview_url",
    )
    @classmethod
    def _web_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{value!r} is not a web address; write it as https://host or http://host:port")
        return value.rstrip("/")

    @field_validator("catalogues_contact")
    @classmethod
    def _mail_address(cls, value: str) -> str:
        if value and not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+", value):
            raise ValueError(f"{value!r} is not a mail address; write it as papers@example.org")
        return value

    @field_validator("login_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        for part in _parts(value):
            try:
                ip_network(part, strict=False)
            except ValueError:
                raise ValueError(f"{part!r} is not an address or a network; write it as 10.0.0.0/8") from None
        return value

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer(cls, value: str) -> str:
        parts = urlsplit(value)
        local = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"}
        if value and not local and (parts.scheme != "https" or not parts.hostname):
            raise ValueError(f"{value!r} cannot be trusted with logins; write it as https://login.example.org")
        return value

    @field_validator("oidc_roles")
    @classmethod
    def _roles_of_claims(cls, value: str) -> str:
        for entry in _parts(value):
            if not re.fullmatch(r"[^=]+=(viewer|operator|admin)", entry):
                raise ValueError(f"{entry!r} gives no role; write it as value=viewer, =operator or =admin")
        return value

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @model_validator(mode="after")
    def _client_is_known(self) -> Self:
        if self.oidc_issuer and not self.oidc_client_id:
            raise ValueError("oidc_issuer: the provider knows this service by a name; set BROADSHEET_OIDC_CLIENT_ID")
        return self

    @model_validator(mode="after")
    def _broker_is_known(self) -> Self:
        if self.broker_url:
            scheme = urlsplit(self.broker_url).scheme
            if scheme not in {"redis", "rediss", "amqp", "amqps", "memory", "sentinel"}:
                raise ValueError(
                    f"broker_url: {scheme!r} is not a broker we run on; use redis://host:6379/0 or amqp://…"
                )
        return self

    @property
    def database(self) -> str:
        """The database's address as SQLAlchemy wants it (`postgresql+psycopg://`, `sqlite:///`)."""
        url = self.database_url or f"sqlite:///{self.home / 'broadsheet.db'}"
        for short in ("postgres://", "postgresql://"):
            if url.startswith(short):
                return "postgresql+psycopg://" + url.removeprefix(short)
        return url

    @property
    def template_folder(self) -> Path:
        """Where templates may be that stand in for ours."""
        return (self.templates or self.home / "templates").expanduser().absolute()

    @property
    def outbox(self) -> Path:
        """Where messages go when there is no mail server."""
        return self.home / "outbox"

    def dkim_keys(self) -> str:
        """The private keys that sign, one PEM after the other; raises `OSError` for a file that cannot be read."""
        given = self.dkim_key.get_secret_value()
        files = [Path(name).expanduser() for name in _parts(self.dkim_key_file)]
        return "\n".join([*([given] if given else []), *(path.read_text("ascii", "replace") for path in files)])

    @field_validator("code_hosts")
    @classmethod
    def _hosts_of_code(cls, value: str) -> str:
        for entry in _parts(value):
            if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+=(gitlab|forgejo)", entry.lower()):
                raise ValueError(f"{entry!r} is no host of code; write it as git.example.org=gitlab or =forgejo")
        return value.lower()

    @property
    def role_of_claim(self) -> dict[str, str]:
        """The values of `oidc_roles`, each with its role."""
        entries = (one.rpartition("=") for one in _parts(self.oidc_roles))
        return {value.strip(): role for value, _, role in entries}

    @property
    def software_of_host(self) -> dict[str, str]:
        """The hosts of `code_hosts`, each with `gitlab` or `forgejo`."""
        entries = (one.partition("=") for one in _parts(self.code_hosts))
        return {host: software for host, _, software in entries}

    @field_validator("code_host_tokens")
    @classmethod
    def _tokens_of_hosts(cls, value: SecretStr) -> SecretStr:
        for number, entry in enumerate(_parts(value.get_secret_value()), 1):
            if not re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+=[!-~]+", entry):
                raise ValueError(f"entry {number} is no host with its token; write it as gitlab.com=glpat-…")
        return value

    @property
    def token_of_host(self) -> dict[str, str]:
        """The hosts of `code_host_tokens`, each with its token."""
        entries = (one.partition("=") for one in _parts(self.code_host_tokens.get_secret_value()))
        return {host.lower(): token for host, _, token in entries}

    @property
    def private_hosts(self) -> frozenset[str]:
        """The SSRF guard's exceptions."""
        return frozenset(map(str.lower, _parts(self.allowed_private_hosts)))

    @property
    def much_asked_hosts(self) -> frozenset[str]:
        """Hosts that answer many small questions, one after the other: they are offered HTTP/2."""
        urls = (self.hf_url, self.github_api_url, self.github_url, self.gitlab_url, self.codeberg_url)
        return frozenset(host for url in urls if (host := urlsplit(url).hostname))

    @property
    def user_agent(self) -> str:
        """Who we say we are; upstreams ask for a name, a version and a contact."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("broadsheet")
        except PackageNotFoundError:
            number = "0"
        contact = self.contact or self.public_url
        if "@" in contact and not contact.startswith("mailto:"):
            contact = f"mailto:{contact}"
        return f"Broadsheet/{number} (+{contact})"

    def secret_values(self) -> list[str]:
        """Values that must never be printed or kept anywhere."""
        values = [getattr(self, name) for name in type(self).model_fields]
        hidden = [one.get_secret_value() for one in values if isinstance(one, SecretStr) and one.get_secret_value()]
        hidden += [*self.old_keys, *self.token_of_host.values()]
        addresses = [text for text in (*hidden, self.database_url, self.broker_url) if "://" in text]
        for text in addresses:  # an error may quote the password in an address without the address
            with suppress(ValueError):
                password = urlsplit(text).password or ""
                hidden += {one for one in (password, unquote(password)) if one}
        return hidden

    @property
    def old_keys(self) -> tuple[str, ...]:
        """The secret keys of before."""
        return tuple(_parts(self.old_secret_keys.get_secret_value()))

    def signing_key(self) -> str:
        """The secret key; made once, readable by the owner only, when none is set."""
        if self.secret_key.get_secret_value():
            return self.secret_key.get_secret_value()
        return _kept_secret(self.home / "secret_key")


def _parts(text: str) -> list[str]:
    """The entries of a comma-separated setting."""
    return [part for one in text.split(",") if (part := one.strip())]


def _kept_secret(path: Path) -> str:
    """Read the secret in `path`, or make it; two processes starting at once agree on one. `ValueError`: no key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = secrets.token_urlsafe(48)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    if not path.exists():
        temporary.touch(mode=0o600)
        temporary.write_text(fresh, encoding="ascii")
        try:
            path.hardlink_to(temporary)  # fails when another process was first: atomic, unlike a check
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    kept = path.read_bytes().decode("ascii", errors="replace").strip()
    if not kept or not kept.isascii():
        raise ValueError(f"{path} holds no key: bring it back from a backup, or set BROADSHEET_SECRET_KEY")
    return kept
