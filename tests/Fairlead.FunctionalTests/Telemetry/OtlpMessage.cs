using System.Buffers.Binary;
using System.Text;

namespace Fairlead.FunctionalTests.Telemetry;

/// <summary>A message of protocol buffers by its field numbers, as OTLP's published definitions give them. Enough to look into what an exporter sends.</summary>
internal readonly struct OtlpMessage(ReadOnlyMemory<byte> bytes)
{
    public IEnumerable<OtlpMessage> Messages(int field) => Fields().Where(found => found.Number == field && found.Wire == 2).Select(found => new OtlpMessage(found.Bytes));

    public OtlpMessage? Message(int field) => Messages(field).Select(message => (OtlpMessage?)message).FirstOrDefault();

    public string Text(int field) => Encoding.UTF8.GetString(Bytes(field).Span);

    public string Hex(int field) => Convert.ToHexStringLower(Bytes(field).Span);

    public long Number(int field) => (long)Fields().Where(found => found.Number == field && found.Wire != 2).Select(found => found.Value).LastOrDefault();

    /// <summary>A packed list of fixed64 doubles.</summary>
    public double[] Doubles(int field) =>
        [.. Fields().Where(found => found.Number == field).SelectMany(found => found.Wire == 2 ? Split(found.Bytes) : [BitConverter.UInt64BitsToDouble(found.Value)])];

    /// <summary>A list of KeyValue, by key.</summary>
    public Dictionary<string, object?> Attributes(int field) => Messages(field).ToDictionary(pair => pair.Text(1), pair => pair.Message(2) is { } value ? ValueOf(value) : null);

    private static object? ValueOf(OtlpMessage any)
    {
        foreach (var (number, _, value, bytes) in any.Fields())
        {
            switch (number)
            {
                case 1: return Encoding.UTF8.GetString(bytes.Span);
                case 2: return value != 0;
                case 3: return (long)value;
                case 4: return BitConverter.UInt64BitsToDouble(value);
                case 5: return string.Join(',', new OtlpMessage(bytes).Messages(1).Select(ValueOf));
            }
        }
        return null;
    }

    private static IEnumerable<double> Split(ReadOnlyMemory<byte> packed)
    {
        for (var at = 0; at < packed.Length; at += 8) yield return BinaryPrimitives.ReadDoubleLittleEndian(packed.Span[at..]);
    }

    private ReadOnlyMemory<byte> Bytes(int field) => Fields().Where(found => found.Number == field && found.Wire == 2).Select(found => found.Bytes).FirstOrDefault();

    private IEnumerable<(int Number, int Wire, ulong Value, ReadOnlyMemory<byte> Bytes)> Fields()
    {
        for (var at = 0; at < bytes.Length;)
        {
            var tag = Varint(bytes.Span, ref at);
            var (number, wire) = ((int)(tag >> 3), (int)(tag & 7));
            switch (wire)
            {
                case 0:
                    yield return (number, wire, Varint(bytes.Span, ref at), default);
                    break;
                case 1:
                    yield return (number, wire, BinaryPrimitives.ReadUInt64LittleEndian(bytes.Span[at..]), default);
                    at += 8;
                    break;
                case 2:
                    var length = (int)Varint(bytes.Span, ref at);
                    yield return (number, wire, 0, bytes.Slice(at, length));
                    at += length;
                    break;
                case 5:
                    yield return (number, wire, BinaryPrimitives.ReadUInt32LittleEndian(bytes.Span[at..]), default);
                    at += 4;
                    break;
                default: throw new InvalidDataException($"Wire type {wire}.");
            }
        }
    }

    private static ulong Varint(ReadOnlySpan<byte> bytes, ref int at)
    {
        ulong value = 0;
        for (var shift = 0; ; shift += 7)
        {
            var one = bytes[at++];
            value |= (ulong)(one & 0x7F) << shift;
            if (one < 0x80) return value;
        }
    }
}
