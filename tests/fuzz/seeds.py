"""What fuzzing begins with where there is no sample file: small, whole, and with every feature in it once."""

# ruff: noqa: E501 (documents as they come, not to be wrapped)

from __future__ import annotations

HF_DETAIL = (
    b'{"id": "2611.90001", "title": "Lanterns", "summary": "Code: https://github.com/shore/lantern", "upvotes": 3,'
    b' "publishedAt": "2026-11-23T17:00:00.000Z", "authors": [{"name": "Ada Quill", "hidden": false}],'
    b' "submittedBy": {"name": "bo", "fullname": "Bo"}, "githubRepo": "https://github.com/shore/lantern",'
    b' "githubStars": 12, "ai_summary": "Light.", "ai_keywords": ["tide"], "organization": {"name": "shore"}}',
)
BIORXIV = (
    b'{"messages": [{"status": "ok", "count": 1, "total": "1", "cursor": 0}], "collection": [{"doi":'
    b' "10.1101/2026.11.20.123456", "title": "Reeds", "authors": "Quill, A.; Osei, B.", "date": "2026-11-24",'
    b' "version": "2", "category": "ecology", "abstract": "We count <i>reeds</i>.", "published": "NA",'
    b' "server": "biorxiv", "type": "new results", "license": "cc_by"}]}',
    b'{"messages": [{"status": "no posts found"}], "collection": []}',
)
OPML = (
    b'<?xml version="1.0"?><opml version="2.0"><body><outline text="A"><outline type="rss" text="One" '
    b'xmlUrl="https://blog.example/feed.xml" htmlUrl="https://blog.example/"/></outline><outline text="arXiv" '
    b'xmlUrl="https://rss.arxiv.org/rss/cs.CL+cs.LG"/><outline xmlUrl="javascript:x"/></body></opml>',
)
PAGES = (
    b'<!doctype html><html><head><base href="/a/"><link rel="alternate" type="application/atom+xml" title="T" '
    b'href="feed.atom"><link rel=alternate type=application/rss+xml href=//cdn.example/rss></head><body>x</body></html>',
)
HTML = (
    b"<p>One &amp; two <b>three</b><br>four</p><script>no()</script><style>x{}</style><!-- c --><![CDATA[d]]>&#x41;&bogus;",
    b'<math><mi>x</mi></math><img src=x onerror=y alt="z"><svg/onload=1><table><tr><td>5</table>',
)
LINKS = (
    b"Code is at https://github.com/shore/lantern.git, models at \\url{https://huggingface.co/shore/big} and "
    b"(https://gitlab.com/a/b/c/-/tree/main). See arXiv:2611.90001v2 [cs.CL], doi:10.1101/2026.11.20.123456.",
    b"https://arxiv.org/abs/hep-th/9901001v3",
    b"https://doi.org/10.48550/arXiv.2611.90001",
    b"https://openreview.net/forum?id=AbC_d-1",
    b"https://pubmed.ncbi.nlm.nih.gov/12345678/",
    b"github.com/a/b#readme",
    "https://bücher.example/ä?q=ö#ü".encode(),
    b"http://[2606:4700::1111]:8080/x",
    b"HTTPS://User@Host.example:443/%zz",
)
QUERIES = (
    b'title:"speculative decoding" OR abs:kv* AND NOT au:quill',
    b"cat:(cs.CL OR cs.LG) stars:>100 -survey",
    b"published:[2026-01-01 TO 2026-12-31] upvotes:{5 TO *}",
    b'"a b"~3 fuzzy~1 boost^2 +must /re/ wild?card',
    b"((((a))))",
)
LATEX = (
    rb"We show $O(\log n)$ with \textbf{bold \emph{and}} \'{e}\"o\c{c} \cite{x} \href{https://a.example/}{b} 50\% \\ "
    rb"\begin{equation} \frac{1}{2} \end{equation} \url{https://c.example/~d} \def\x{y} ``q'' --- ~ \o{} \verb|x|",
    rb"\'{e}\"o\c{c}\v{s}\H{o}\aa\o{}\ss",
    rb"$x^{2}_{i} \leq \alpha\beta \sqrt[3]{n}$ and $$\sum_{k=1}^\infty a_k$$",
    rb"\textbf{\emph{\texttt{a}}} \footnote{b \cite[p.~2]{c}} \mbox{d} \{e\} \% \& \_ \# \$",
    rb"\begin{itemize}\item a\item[b] c\end{itemize}\\[2pt] % comment",
    rb"\newcommand{\x}[1]{#1#1}\x{\x{y}} \def\z#1{#1} \input{f} \write18{g}",
    rb"{{{{a}}}}}}} $ \( \[ \begin{x \end{y} \ ",
)
ADDRESSES = (
    b"ada@example.org",
    b"Ada <ada@b\xc3\xbccher.example>",
    b"slack:https://hooks.slack.com/services/T/B/x",
    b"slack:#papers",
    b"webhook:https://hook.example/in?x=1",
    b'"odd name"@example.org',
    b"mailto:x@y.example",
)
REPORTS = (
    b"From: MAILER-DAEMON@relay.example\nTo: b@papers.example\nSubject: Undelivered\nMIME-Version: 1.0\nContent-Type: "
    b'multipart/report; report-type=delivery-status; boundary="e"\n\n--e\nContent-Type: text/plain\n\nno\n\n--e\nContent-Type: '
    b"message/delivery-status\n\nReporting-MTA: dns; relay.example\n\nFinal-Recipient: rfc822; ada@shore.example\nAction: "
    b"failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 none\n\n--e\nContent-Type: message/rfc822\n\nMessage-ID: "
    b"<0f3a@papers.example>\nTo: ada@shore.example\n\nHello\n--e--\n",
    b"From: fbl@relay.example\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=feedback-report; "
    b'boundary="e"\n\n--e\nContent-Type: text/plain\n\nabuse\n\n--e\nContent-Type: message/feedback-report\n\nFeedback-Type: '
    b"abuse\nVersion: 1\nUser-Agent: x\nOriginal-Rcpt-To: ada@shore.example\n\n--e\nContent-Type: message/rfc822\n\nMessage-ID: "
    b"<0f3a@papers.example>\n\nHello\n--e--\n",
)
WEBHOOKS = (
    b'{"Type": "Notification", "Message": "{\\"notificationType\\": \\"Bounce\\", \\"bounce\\": {\\"bounceType\\": '
    b'\\"Permanent\\", \\"bouncedRecipients\\": [{\\"emailAddress\\": \\"a@b.example\\"}]}, \\"mail\\": {\\"headers\\": []}}"}',
    b'{"notificationType": "Complaint", "complaint": {"complainedRecipients": [{"emailAddress": "a@b.example"}]}, "mail": '
    b'{"commonHeaders": {"messageId": "<x@y>"}}}',
    b'{"RecordType": "Bounce", "Type": "HardBounce", "Email": "a@b.example", "Metadata": {}, "MessageID": "x"}',
    b'{"event-data": {"event": "failed", "severity": "permanent", "recipient": "a@b.example", "message": {"headers": '
    b'{"message-id": "x@y"}}, "delivery-status": {"message": "no", "code": 550}}}',
)
TOKENS = (
    "<entry>",
    "</entry>",
    "<item>",
    "</item>",
    "<title>",
    "<id>",
    "<author>",
    "<name>",
    "<link href=",
    "<guid>",
    "<!DOCTYPE ",
    "<!ENTITY ",
    "<![CDATA[",
    "]]>",
    "<?xml ",
    "encoding=",
    "&amp;",
    "&#0;",
    "&#xd800;",
    "&#x202e;",
    "xmlns=",
    "null",
    "true",
    "[]",
    "{}",
    "\\u0000",
    "\\ud800",
    "1e999",
    "-1",
    "99999999999999999999",
    "0000-00-00",
    "9999-12-31T23:59:60Z",
    "arxiv.org/abs/",
    "2611.90001",
    "10.1101/",
    "https://",
    "github.com/",
    "javascript:",
    "\\frac{",
    "\\begin{",
    "$",
    "\\href{",
    " OR ",
    " AND ",
    "NOT ",
    "title:",
    "[* TO ",
    '\\"',
    "~2",
    "^3",
)
"""Words that random changes would hardly hit upon."""
