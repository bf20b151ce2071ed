using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Fairlead.Catalogue;
using Fairlead.Pipeline;

namespace Fairlead.Routing;

/// <summary>
/// Identifies the calls that share a prompt cache: by <c>prompt_cache_key</c>, else <c>safety_identifier</c> or <c>user</c> (Anthropic:
/// <c>metadata.user_id</c>), else by the start of the conversation: its instructions and its messages up to the first of the user, which
/// stay the same from turn to turn. The same on every node. Immutable.
/// </summary>
internal sealed class SessionKey
{
    private readonly byte[] _hash;

    private SessionKey(byte[] hash) => _hash = hash;

    /// <summary>The key of a call; null if its body has nothing of the kind. Linear in the bytes of the body.</summary>
    public static SessionKey? Of(GatewayCall call)
    {
        if (call.Body is not { Length: > 0 } body) return null;
        var found = new Found();
        try
        {
            found.Scan(body.WrittenSpan);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // Dialects accept only bodies that can be read. A text may still have half a surrogate pair, which throws the second one.
            // Without a key, the call goes anywhere.
            return null;
        }
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        if ((found.CacheKey ?? found.SafetyIdentifier ?? found.User) is { } name)
        {
            hash.AppendData(Encoding.UTF8.GetBytes(name));
        }
        else
        {
            if (found.Start.Count == 0) return null;
            foreach (var (start, length) in found.Start) hash.AppendData(body.WrittenSpan.Slice(start, length));
        }
        return new SessionKey(hash.GetHashAndReset());
    }

    /// <summary>
    /// Rank of a deployment for this session, the highest first (weighted rendezvous hashing): if a deployment comes or goes, only the
    /// sessions that it gets or had move.
    /// </summary>
    public double ScoreOf(Deployment deployment)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        var length = _hash.Length + Encoding.UTF8.GetByteCount(deployment.Name);
        var input = length <= 512 ? stackalloc byte[length] : new byte[length];
        _hash.CopyTo(input);
        Encoding.UTF8.GetBytes(deployment.Name, input[_hash.Length..]);
        SHA256.HashData(input, hash);
        // 53 bits: what a double holds. Never 0 or 1.
        var uniform = ((BitConverter.ToUInt64(hash) >> 11) + 0.5) / (1UL << 53);
        return deployment.Weight / -Math.Log(uniform);
    }

    private ref struct Found
    {
        /// <summary>Messages that are looked at until the first of the user.</summary>
        private const int MaxMessages = 4;

        public Found() => Start = [];

        public string? CacheKey { get; private set; }

        public string? SafetyIdentifier { get; private set; }

        public string? User { get; private set; }

        /// <summary>Ranges of the body: instructions and the first messages.</summary>
        public List<(int Start, int Length)> Start { get; }

        public void Scan(ReadOnlySpan<byte> body)
        {
            var json = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = 1024 });
            json.Read();
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                if (json.ValueTextEquals("prompt_cache_key"u8)) CacheKey = Text(ref json);
                else if (json.ValueTextEquals("safety_identifier"u8)) SafetyIdentifier = Text(ref json);
                else if (json.ValueTextEquals("user"u8)) User ??= Text(ref json);
                else if (json.ValueTextEquals("metadata"u8)) Metadata(ref json);
                else if (json.ValueTextEquals("system"u8) || json.ValueTextEquals("instructions"u8)) Value(ref json);
                else if (json.ValueTextEquals("messages"u8) || json.ValueTextEquals("input"u8)) Messages(ref json);
                else json.Skip();
            }
        }

        private static string? Text(ref Utf8JsonReader json)
        {
            json.Read();
            if (json.TokenType == JsonTokenType.String) return json.GetString() is { Length: > 0 } text ? text : null;
            json.Skip();
            return null;
        }

        private void Metadata(ref Utf8JsonReader json)
        {
            json.Read();
            if (json.TokenType != JsonTokenType.StartObject)
            {
                json.Skip();
                return;
            }
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                if (json.ValueTextEquals("user_id"u8)) User ??= Text(ref json);
                else json.Skip();
            }
        }

        private readonly void Value(ref Utf8JsonReader json)
        {
            json.Read();
            Add(ref json);
        }

        private readonly void Messages(ref Utf8JsonReader json)
        {
            json.Read();
            if (json.TokenType != JsonTokenType.StartArray)
            {
                Add(ref json);
                return;
            }
            var isOpen = true;
            for (var i = 0; json.Read() && json.TokenType != JsonTokenType.EndArray; i++)
            {
                if (!isOpen || i == MaxMessages)
                {
                    isOpen = false;
                    json.Skip();
                    continue;
                }
                var message = json;
                isOpen = !IsOfUser(ref message);
                Add(ref json);
            }
        }

        private readonly void Add(ref Utf8JsonReader json)
        {
            var start = (int)json.TokenStartIndex;
            var isNothing = json.TokenType == JsonTokenType.Null;
            json.Skip();
            if (!isNothing) Start.Add((start, (int)json.BytesConsumed - start));
        }

        private static bool IsOfUser(ref Utf8JsonReader message)
        {
            // A text instead of messages is the user's.
            if (message.TokenType != JsonTokenType.StartObject) return true;
            while (message.Read() && message.TokenType == JsonTokenType.PropertyName)
            {
                if (message.ValueTextEquals("role"u8))
                {
                    message.Read();
                    return message.TokenType == JsonTokenType.String && message.ValueTextEquals("user"u8);
                }
                message.Skip();
            }
            return false;
        }
    }
}
