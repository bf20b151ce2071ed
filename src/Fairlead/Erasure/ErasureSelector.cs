using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using Fairlead.Auditing.Blocks;

namespace Fairlead.Erasure;

/// <summary>What names the calls of an erasure.</summary>
internal enum ErasureKind
{
    /// <summary>One generation.</summary>
    Generation,

    /// <summary>All calls of a key.</summary>
    Key,

    /// <summary>All calls of a project.</summary>
    Project,

    /// <summary>All calls of an end user in a project or an organization.</summary>
    EndUser,
}

/// <summary>
/// Which calls an erasure is about. An end user is only there as a salted hash: the erasure stays in the database, and would otherwise keep
/// what it erases. Immutable.
/// </summary>
/// <param name="Kind">What names the calls.</param>
/// <param name="TargetId">Id of the generation, key or project; null for an end user.</param>
/// <param name="ProjectId">The project of the calls; null if it is not known, or if there may be several.</param>
/// <param name="OrganizationId">The organization of the calls; null if it is not known.</param>
internal sealed record ErasureSelector(ErasureKind Kind, string? TargetId, string? ProjectId, string? OrganizationId)
{
    private const int SaltBytes = 16;

    /// <summary>Precedes the name of the end user in its hash; null for other kinds.</summary>
    public byte[]? Salt { get; init; }

    /// <summary>SHA-256 of the salt and the name in UTF-8; null for other kinds.</summary>
    public byte[]? UserHash { get; init; }

    /// <summary>The hash by which indexes of audit blocks find the end user: 32 bits, so many names have it.</summary>
    public uint Label { get; init; }

    /// <summary>The selector of an end user with a new salt.</summary>
    public static ErasureSelector OfEndUser(string user, string? projectId, string? organizationId)
    {
        var name = Encoding.UTF8.GetBytes(user);
        var salt = RandomNumberGenerator.GetBytes(SaltBytes);
        return new ErasureSelector(ErasureKind.EndUser, null, projectId, organizationId)
        {
            Salt = salt, UserHash = Hash(salt, name), Label = LabelHash.OfEndUser(name),
        };
    }

    /// <summary>Whether this is the end user; false for other kinds.</summary>
    public bool IsEndUser(string? user) => user is { Length: > 0 } && IsEndUser(Encoding.UTF8.GetBytes(user));

    /// <inheritdoc cref="IsEndUser(string?)"/>
    public bool IsEndUser(ReadOnlySpan<byte> user) =>
        UserHash is not null && LabelHash.OfEndUser(user) == Label && CryptographicOperations.FixedTimeEquals(Hash(Salt!, user), UserHash);

    private static byte[] Hash(ReadOnlySpan<byte> salt, ReadOnlySpan<byte> name)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(salt);
        hash.AppendData(name);
        return hash.GetHashAndReset();
    }
}

internal static class ErasureKindName
{
    public static string ToWire(this ErasureKind kind) => kind switch
    {
        ErasureKind.Generation => "generation",
        ErasureKind.Key => "key",
        ErasureKind.Project => "project",
        ErasureKind.EndUser => "end_user",
        _ => throw new UnreachableException(),
    };

    public static ErasureKind Parse(string name) => name switch
    {
        "generation" => ErasureKind.Generation,
        "key" => ErasureKind.Key,
        "project" => ErasureKind.Project,
        "end_user" => ErasureKind.EndUser,
        _ => throw new FormatException($"'{name}' names no calls."),
    };
}
