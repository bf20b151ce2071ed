using System.Security.Cryptography;
using System.Text;

namespace Fairlead.Policies;

/// <summary>
/// Ids of the policies of the configuration, made of their names: in the form of all ids, and before those of stored policies in lists.
/// </summary>
internal static class ConfiguredPolicyId
{
    public const string Prefix = "pol_";

    // The alphabet of ULIDs.
    private const string Digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    // The time of a ULID; no stored policy was created in 1970.
    private const string Time = "0000000000";

    public static string Of(string name)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.UTF8.GetBytes(name), hash);
        Span<char> random = stackalloc char[16];
        for (var i = 0; i < random.Length; i++) random[i] = Digits[hash[i] & 31];
        return string.Concat(Prefix, Time, random);
    }
}
