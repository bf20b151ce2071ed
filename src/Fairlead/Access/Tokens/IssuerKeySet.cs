using Microsoft.IdentityModel.Tokens;

namespace Fairlead.Access.Tokens;

/// <summary>The public keys of an issuer at one moment. Immutable.</summary>
internal sealed class IssuerKeySet
{
    private const int MinRsaBits = 2048;

    private readonly string _content;

    private IssuerKeySet(IReadOnlyList<SecurityKey> keys, string content) => (Keys, _content) = (keys, content);

    public IReadOnlyList<SecurityKey> Keys { get; }

    /// <summary>Whether a token with this key id can be verified. A token without one needs an issuer with a single key.</summary>
    public bool Has(string? keyId) => string.IsNullOrEmpty(keyId) ? Keys.Count == 1 : Keys.Any(key => key.KeyId == keyId);

    /// <summary>Whether the other set has the same keys, in whatever order.</summary>
    public bool IsSameAs(IssuerKeySet other) => _content == other._content;

    /// <param name="json">A JWKS. Keys for encryption, secret keys, short RSA keys and keys of unknown kinds are left out.</param>
    /// <exception cref="FormatException">The text is not a JWKS, or has no key that can be used.</exception>
    public static IssuerKeySet Parse(string json)
    {
        SecurityKey[] keys;
        string content;
        try
        {
            var set = new JsonWebKeySet(json);
            keys = [.. set.GetSigningKeys().Where(IsUsable)];
            content = string.Join('\n', set.Keys.Select(ContentOf).Order(StringComparer.Ordinal));
        }
        // The library has many exceptions for what is no key.
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            throw new FormatException("The response is not a JSON Web Key Set.", exception);
        }
        return keys.Length > 0 ? new IssuerKeySet(keys, content) : throw new FormatException("The key set has no public key for signatures.");
    }

    // One unusable key must not make the others unusable.
    private static bool IsUsable(SecurityKey key)
    {
        try
        {
            return key switch
            {
                RsaSecurityKey rsa => rsa.KeySize >= MinRsaBits,
                X509SecurityKey certificate =>
                    certificate.KeySize >= MinRsaBits || certificate.PublicKey is System.Security.Cryptography.ECDsa,
                ECDsaSecurityKey => true,
                JsonWebKey { Kty: "RSA" or "EC" } => true,
                _ => false,
            };
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            return false;
        }
    }

    private static string ContentOf(JsonWebKey key)
    {
        string?[] parts = [key.Kid, key.Kty, key.Use, key.Alg, key.Crv, key.X, key.Y, key.N, key.E, .. key.X5c];
        return string.Join(' ', parts);
    }
}
