using Microsoft.IdentityModel.Tokens;

namespace Fairlead.Access.Tokens;

/// <summary>The public keys of an issuer at one moment. Immutable.</summary>
internal sealed class IssuerKeySet
{
    private const int MinRsaBits = 2048;

    private IssuerKeySet(IReadOnlyList<SecurityKey> keys) => Keys = keys;

    public IReadOnlyList<SecurityKey> Keys { get; }

    /// <summary>Whether a token with this key id can be verified. A token without one needs an issuer with a single key.</summary>
    public bool Has(string? keyId) => string.IsNullOrEmpty(keyId) ? Keys.Count == 1 : Keys.Any(key => key.KeyId == keyId);

    /// <param name="json">A JWKS. Keys for encryption, secret keys, short RSA keys and keys of unknown kinds are left out.</param>
    /// <exception cref="FormatException">The text is not a JWKS, or has no key that can be used.</exception>
    public static IssuerKeySet Parse(string json)
    {
        JsonWebKeySet set;
        try
        {
            set = new JsonWebKeySet(json);
        }
        catch (Exception exception) when (exception is ArgumentException or System.Text.Json.JsonException or InvalidOperationException)
        {
            throw new FormatException("The response is not a JSON Web Key Set.", exception);
        }
        SecurityKey[] keys = [.. set.GetSigningKeys().Where(IsUsable)];
        return keys.Length > 0 ? new IssuerKeySet(keys) : throw new FormatException("The key set has no public key for signatures.");
    }

    private static bool IsUsable(SecurityKey key) => key switch
    {
        RsaSecurityKey rsa => rsa.KeySize >= MinRsaBits,
        X509SecurityKey certificate => certificate.KeySize >= MinRsaBits || certificate.PublicKey is System.Security.Cryptography.ECDsa,
        ECDsaSecurityKey => true,
        JsonWebKey { Kty: "RSA" or "EC" } => true,
        _ => false,
    };
}
