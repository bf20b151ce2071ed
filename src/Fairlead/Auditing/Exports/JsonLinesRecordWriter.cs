using System.Buffers;
using System.Text.Json;
using Fairlead.Auditing.Ledger;
using Fairlead.Errors;

namespace Fairlead.Auditing.Exports;

/// <summary>One JSON object a line.</summary>
internal sealed class JsonLinesRecordWriter : IRecordWriter
{
    private readonly Stream _output;
    private readonly ArrayBufferWriter<byte> _line = new(4096);
    private readonly Utf8JsonWriter _json;

    public JsonLinesRecordWriter(Stream output)
    {
        _output = output;
        _json = new Utf8JsonWriter(_line, ErrorBodyWriter.WriterOptions);
    }

    public async Task WriteAsync(StoredRecord record, CancellationToken cancellationToken)
    {
        _line.ResetWrittenCount();
        _json.Reset(_line);
        LedgerEndpoints.WriteRecord(_json, record);
        await _json.FlushAsync(cancellationToken);
        _line.Write("\n"u8);
        await _output.WriteAsync(_line.WrittenMemory, cancellationToken);
    }

    public Task FinishAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public ValueTask DisposeAsync() => _json.DisposeAsync();
}
