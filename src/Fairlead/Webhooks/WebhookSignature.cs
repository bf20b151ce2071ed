namespace Fairlead.Webhooks;

/// <summary>The two kinds of signatures of Standard Webhooks.</summary>
internal enum WebhookSignature
{
    /// <summary><c>v1</c>: HMAC-SHA256 with a secret that both sides know.</summary>
    Hmac,

    /// <summary><c>v1a</c>: Ed25519; the receiver knows only the public key.</summary>
    Ed25519,
}
