"""A mail server of tests. It listens on --host, wants a log-in and keeps each mail that it takes as a file.

Its recipients are all but those whose name is "refused"; its only user is "matou" with the password of --password.
"""

import argparse
import asyncio
import pathlib
import ssl

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Keeper:
    """Answers what the server leaves open."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.taken = 0

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address.startswith("refused@"):
            return "550 5.1.1 nobody \x1b[2Jof that name"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server, session, envelope):
        self.taken += 1
        head = f"Envelope-From: {envelope.mail_from}\nEnvelope-To: {','.join(envelope.rcpt_tos)}\n"
        part = self.folder / f"{self.taken}.part"
        part.write_bytes(head.encode() + envelope.content)
        part.rename(self.folder / f"{self.taken}.eml")
        return f"250 2.0.0 Ok: queued as {self.taken}"


async def serve(options):
    def authenticate(server, session, envelope, mechanism, given):
        right = LoginPassword(b"matou", options.password.encode())
        return AuthResult(success=given == right, handled=False)

    tls = None
    if options.security != "none":
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(options.certificate, options.key)
    starttls = options.security == "starttls"
    keeper = Keeper(options.folder)

    def connection():
        return SMTP(
            keeper,
            hostname="smtp.practice.test",
            tls_context=tls if starttls else None,
            require_starttls=starttls,
            auth_required=True,
            auth_require_tls=starttls,
            authenticator=authenticate,
            loop=asyncio.get_running_loop(),
        )

    whole = tls if options.security == "tls" else None
    server = await asyncio.get_running_loop().create_server(connection, options.host, options.port, ssl=whole)
    async with server:
        await server.serve_forever()


parser = argparse.ArgumentParser()
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--security", choices=["starttls", "tls", "none"], required=True)
parser.add_argument("--password", required=True)
parser.add_argument("--folder", required=True)
parser.add_argument("--certificate")
parser.add_argument("--key")
asyncio.run(serve(parser.parse_args()))
