using System.Buffers;
using System.Text.Json;
using ZiggyCreatures.Caching.Fusion.Internals.Distributed;
using ZiggyCreatures.Caching.Fusion.Serialization;

namespace Fairlead.Caching;

/// <summary>Writes and reads the entries of the second level. They are all <see cref="CachedOutput"/>. Thread-safe.</summary>
internal sealed class CachedOutputSerializer : IFusionCacheSerializer
{
    public byte[] Serialize<T>(T? obj)
    {
        if (obj is not FusionCacheDistributedEntry<CachedOutput> entry) throw Unknown(typeof(T));
        var output = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(output))
        {
            json.WriteStartObject();
            json.WriteNumber("timestamp", entry.Timestamp);
            json.WriteNumber("until", entry.LogicalExpirationTimestamp);
            json.WritePropertyName("output");
            CachedOutputFormat.Write(json, entry.Value);
            json.WriteEndObject();
        }
        return output.WrittenSpan.ToArray();
    }

    public T? Deserialize<T>(byte[] data)
    {
        if (typeof(T) != typeof(FusionCacheDistributedEntry<CachedOutput>)) throw Unknown(typeof(T));
        using var document = JsonDocument.Parse(data, new JsonDocumentOptions { MaxDepth = 1024 });
        var json = document.RootElement;
        return (T)(object)new FusionCacheDistributedEntry<CachedOutput>(CachedOutputFormat.Read(json.GetProperty("output")),
            json.GetProperty("timestamp").GetInt64(), json.GetProperty("until").GetInt64(), null, null);
    }

    public ValueTask<byte[]> SerializeAsync<T>(T? obj, CancellationToken token = default) => new(Serialize(obj));

    public ValueTask<T?> DeserializeAsync<T>(byte[] data, CancellationToken token = default) => new(Deserialize<T>(data));

    private static NotSupportedException Unknown(Type type) => new($"{type.Name} is not kept in the cache.");
}
