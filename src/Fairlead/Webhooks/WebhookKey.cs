using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Org.BouncyCastle.Crypto.Parameters;
using Org.BouncyCastle.Crypto.Signers;

namespace Fairlead.Webhooks;

/// <summary>The key that signs deliveries (Standard Webhooks). Immutable and thread-safe; never printed whole.</summary>
internal sealed class WebhookKey
{
    /// <summary>Within the 24 to 64 bytes of the specification, and the size of the hash.</summary>
    private const int SecretBytes = 32;

    private readonly byte[] _secret;

    public WebhookKey(WebhookSignature kind, byte[] secret)
    {
        Kind = kind;
        _secret = secret;
    }

    public WebhookSignature Kind { get; }

    /// <summary>The bytes of the key; for Ed25519 the 32 bytes of its seed.</summary>
    public ReadOnlySpan<byte> Secret => _secret;

    /// <summary>What the receiver needs: <c>whsec_…</c>, which is secret, or <c>whpk_…</c>, which is not.</summary>
    public string ReceiverText => Kind == WebhookSignature.Hmac
        ? "whsec_" + Convert.ToBase64String(_secret)
        : "whpk_" + Convert.ToBase64String(new Ed25519PrivateKeyParameters(_secret).GeneratePublicKey().GetEncoded());

    public static WebhookKey New(WebhookSignature kind) => new(kind, RandomNumberGenerator.GetBytes(SecretBytes));

    /// <summary>One signature in the form of <c>webhook-signature</c>.</summary>
    /// <param name="id">The <c>webhook-id</c>.</param>
    /// <param name="timestamp">The <c>webhook-timestamp</c>, in seconds.</param>
    /// <param name="body">The body's bytes as sent.</param>
    public string Sign(string id, long timestamp, ReadOnlySpan<byte> body)
    {
        var head = Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{id}.{timestamp}."));
        var signed = new byte[head.Length + body.Length];
        head.CopyTo(signed, 0);
        body.CopyTo(signed.AsSpan(head.Length));
        if (Kind == WebhookSignature.Hmac) return "v1," + Convert.ToBase64String(HMACSHA256.HashData(_secret, signed));

        var signer = new Ed25519Signer();
        signer.Init(forSigning: true, new Ed25519PrivateKeyParameters(_secret));
        signer.BlockUpdate(signed, 0, signed.Length);
        return "v1a," + Convert.ToBase64String(signer.GenerateSignature());
    }

    /// <summary>The whole header: one signature for each key, the newest first.</summary>
    public static string Header(IEnumerable<WebhookKey> keys, string id, long timestamp, byte[] body) =>
        string.Join(' ', keys.Select(key => key.Sign(id, timestamp, body)));

    public override string ToString() => Kind.ToString();
}
