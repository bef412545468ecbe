# Makes, changes and removes records with dns-lexicon (PyPI), at a recorder of this machine.
# Arguments: the provider, the address of the recorder. Secrets are of the recorder alone.
import sys

from lexicon.config import ConfigResolver

provider, endpoint = sys.argv[1:]
options = {
    "gandi": {"auth_token": "a-personal-access-token-of-gandi", "api_protocol": "rest"},
    "scaleway": {"auth_secret_key": "11111111-aaaa-4bbb-8ccc-222222222222"},
    "ovh": {
        "auth_entrypoint": "ovh-eu",
        "auth_application_key": "7kbG7Bk7S9Nt7ZSV",
        "auth_application_secret": "EXEgWIz07P0HYwtQDs7cNIqCiQaWSuHF",
        "auth_consumer_key": "MtSwSrPpNjqfVSmJhLbPyr2i45lSwPU1",
    },
}[provider]
module = __import__(f"lexicon._private.providers.{provider}", fromlist=["Provider"])
if provider == "ovh":
    module.ENDPOINTS["ovh-eu"] = f"{endpoint}/1.0"
config = ConfigResolver().with_dict(
    {"provider_name": provider, "domain": "example.org", "ttl": 300, provider: options}
)
client = module.Provider(config)
if provider == "gandi":
    client.api_endpoint = f"{endpoint}/v5/livedns"
if provider == "scaleway":
    client.endpoint = f"{endpoint}/domain/v2beta1"
client.authenticate()
# Scaleway's client sends names as it is given them, the others those within the zone.
whole = "" if provider == "scaleway" else ".example.org"
# Texts in quotes, as the interfaces document them.
text = '"heritage=matou,fleet=f,app=shop,types=A"'
client.create_record("TXT", f"_matou.shop{whole}", text)
client.create_record("A", f"shop{whole}", "192.0.2.1")
identifier = None
if provider == "scaleway":
    identifier = client.list_records("A", "shop")[0]["id"]
client.update_record(identifier, "A", f"shop{whole}", "192.0.2.2")
client.delete_record(None, "A", f"shop{whole}")
client.delete_record(None, "TXT", f"_matou.shop{whole}")
