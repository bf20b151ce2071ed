using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Auditing.Blocks;

namespace Fairlead.Auditing.Chain;

/// <summary>
/// The signed statement which records of a block were removed and why: whoever turns a record into a removed one without the key is found.
/// </summary>
/// <param name="At">When it was made, in milliseconds since 1970.</param>
internal sealed record BlockRemoval(long At)
{
    public string KeyId { get; init; } = "";

    public byte[] Signature { get; init; } = [];

    /// <summary>The signed bytes: the place of the block in its chain, and each removed record with its reason.</summary>
    public byte[] StatementFor(AuditBlock block)
    {
        var text = new StringBuilder("fairlead audit block removal 1\n");
        text.Append(CultureInfo.InvariantCulture, $"{block.Row.Node}\n{block.Row.FirstSequence}\n{block.Count}\n");
        text.Append(CultureInfo.InvariantCulture, $"{Convert.ToHexStringLower(block.Row.Hash)}\n{At}\n");
        for (var i = 0; i < block.Count; i++)
        {
            if (block.RemovedFor(i) is { } reason) text.Append(CultureInfo.InvariantCulture, $"{block.SequenceOf(i)} {(byte)reason}\n");
        }
        return Encoding.UTF8.GetBytes(text.ToString());
    }

    /// <summary>The statement for a block as JSON, signed.</summary>
    public static string Sign(AuditBlock block, AuditSigner signer, DateTimeOffset now)
    {
        var removal = new BlockRemoval(now.ToUnixTimeMilliseconds());
        return new JsonObject
        {
            ["at"] = removal.At,
            ["key_id"] = signer.KeyId,
            ["signature"] = Convert.ToBase64String(signer.Sign(removal.StatementFor(block))),
        }.ToJsonString();
    }

    /// <summary>Reads what <see cref="Sign"/> wrote; null if it is something else.</summary>
    public static BlockRemoval? Parse(string? json)
    {
        if (json is null) return null;
        try
        {
            if (JsonNode.Parse(json) is not JsonObject read) return null;
            return new BlockRemoval((long)read["at"]!)
            {
                KeyId = (string)read["key_id"]!,
                Signature = Convert.FromBase64String((string)read["signature"]!),
            };
        }
        catch (Exception e) when (e is JsonException or FormatException or InvalidOperationException or ArgumentException
            or NullReferenceException)
        {
            return null;
        }
    }
}
