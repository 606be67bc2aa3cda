"""Access: the role each route needs, all in one place. A route that is not written here answers nobody.

`PUBLIC` is for everybody; `LOGIN` for whoever may see the login form; else one of `services.domain.users.ROLES`, each
of which may all that those before it may. Signed links of readers are public here: their own page checks
them.
"""

from __future__ import annotations

PUBLIC, LOGIN, VIEWER, OPERATOR, ADMIN = "public", "login", "viewer", "operator", "admin"

_ROUTES = {
    PUBLIC: """
        GET /                                   GET /papers/{key:path}              GET /edition/{token}
        GET /subscribe                          POST /subscribe                     GET /subscribe/preview
        GET /confirm/{token}                    POST /confirm/{token}
        GET /unsubscribe/{token}                POST /unsubscribe/{token}
        GET /pause/{token}                      POST /pause/{token}
        GET /preferences/{token}                POST /preferences/{token}
        GET /saved/{token}                      POST /saved/{token}
        GET /data/{token}                       POST /data/{token}
        GET /save/{token}                       POST /save/{token}
        GET /more/{token}                       POST /more/{token}
        GET /less/{token}                       POST /less/{token}
        GET /mute/{token}                       POST /mute/{token}
        GET /snooze/{token}                     POST /snooze/{token}
        GET /feeds/{name}.{form}                GET /favicon.ico                    GET /robots.txt
        GET /export/{form}                      GET /unapi
        GET /healthz                            GET /readyz
        POST /hooks/bounces/{service}
        GET /api/v1/papers                      GET /api/v1/papers/{key:path}       GET /api/v1/search
        GET /api/v1/days                        GET /api/v1/feeds
    """,
    LOGIN: """
        GET /admin/login                        POST /admin/login
        GET /admin/oidc                         GET /admin/oidc/callback
    """,
    VIEWER: """
        POST /admin/logout                      GET /metrics
        GET /admin                              GET /admin/look
        GET /admin/runs                         GET /admin/runs/{run_id}            GET /admin/failures
        GET /admin/feeds                        GET /admin/feeds/{name}
        GET /admin/deliveries                   GET /admin/schedule                 GET /admin/subscriptions
        GET /admin/suppressions                 GET /admin/duplicates               GET /admin/merges
        GET /admin/lineage                      GET /editions/{edition_id}
        GET /api/v1/feeds/{name}
        GET /api/v1/runs                        GET /api/v1/runs/{run_id}           GET /api/v1/failures
        GET /api/v1/deliveries                  GET /api/v1/deliveries/{delivery_id}
        GET /api/v1/subscriptions               GET /api/v1/subscriptions/{subscription_id}
        GET /api/v1/suppressions                GET /api/v1/slots                   GET /api/v1/quotas
        GET /api/v1/workers                     GET /api/v1/stages                  GET /api/v1/rates
        GET /api/v1/batches                     GET /api/v1/duplicates              GET /api/v1/events
    """,
    OPERATOR: """
        POST /admin/feeds                       POST /admin/feeds/{name}/remove
        POST /admin/feeds/{name}/edit           PATCH /api/v1/feeds/{name}
        POST /admin/feeds/{name}/accept         POST /api/v1/feeds/{name}/accept
        POST /admin/feeds/{name}/fetch          POST /admin/feeds/{name}/pause      POST /admin/feeds/{name}/resume
        POST /admin/runs/{run_id}/retry         POST /admin/failures/redrive        GET /admin/runs/{run_id}/bundle
        POST /admin/editions/{edition_id}/resend
        POST /admin/stages/{stage}/pause        POST /admin/stages/{stage}/resume
        POST /admin/rates                       POST /admin/rates/{channel}/restore
        PUT /api/v1/rates/{channel}             DELETE /api/v1/rates/{channel}
        POST /admin/slots/{name}/pause          POST /admin/slots/{name}/resume     POST /admin/slots/{name}/run
        POST /admin/subscriptions/{subscription_id}/pause
        POST /admin/subscriptions/{subscription_id}/resume
        POST /admin/subscriptions/{subscription_id}/confirm
        POST /admin/subscriptions/{subscription_id}/remove
        POST /admin/suppressions/lift           POST /admin/subscribers/export
        POST /admin/duplicates/{duplicate_id}/merge
        POST /admin/duplicates/{duplicate_id}/dismiss
        POST /admin/duplicates/{duplicate_id}/reopen
        POST /admin/merges/{merge_id}/undo
        POST /api/v1/feeds                      DELETE /api/v1/feeds/{name}
        POST /api/v1/feeds/{name}/fetch         POST /api/v1/feeds/{name}/pause     POST /api/v1/feeds/{name}/resume
        POST /api/v1/runs/{run_id}/retry        POST /api/v1/failures/redrive       GET /api/v1/runs/{run_id}/bundle
        POST /api/v1/editions/{edition_id}/resend
        POST /api/v1/subscriptions              DELETE /api/v1/subscriptions/{subscription_id}
        POST /api/v1/subscriptions/{subscription_id}/pause
        POST /api/v1/subscriptions/{subscription_id}/resume
        POST /api/v1/subscriptions/{subscription_id}/confirm
        POST /api/v1/suppressions               POST /api/v1/suppressions/lift
        POST /api/v1/subscribers/export
        POST /api/v1/stages/{stage}/pause       POST /api/v1/stages/{stage}/resume
        POST /api/v1/slots/{name}/pause         POST /api/v1/slots/{name}/resume    POST /api/v1/slots/{name}/run
        POST /api/v1/duplicates/{duplicate_id}  POST /api/v1/merges/{merge_id}/undo
    """,
    ADMIN: """
        GET /admin/users                        POST /admin/users                   POST /admin/users/{name}/role
        POST /admin/users/{name}/disable        POST /admin/users/{name}/enable     POST /admin/users/{name}/password
        GET /admin/tokens                       POST /admin/tokens                  POST /admin/tokens/{name}/revoke
        GET /admin/audit                        POST /admin/subscribers/wipe
        GET /api/v1/audit                       POST /api/v1/subscribers/wipe
        GET /api/v1/users                       POST /api/v1/users                  PATCH /api/v1/users/{name}
        GET /api/v1/tokens                      POST /api/v1/tokens                 DELETE /api/v1/tokens/{name}
    """,
}  # fmt: skip

NEEDED = {
    f"{method} {path}": role
    for role, text in _ROUTES.items()
    for method, path in zip(text.split()[::2], text.split()[1::2], strict=True)
}
"""`METHOD path` → what it needs."""


def needed(method: str, path: str) -> str | None:
    """What a route needs; `None` for one that is not written down, which is refused."""
    return NEEDED.get(f"{'GET' if method == 'HEAD' else method} {path}")
